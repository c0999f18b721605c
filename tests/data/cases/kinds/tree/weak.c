#include <stdio.h>
#pragma weak wf
#pragma redefine_extname oldn newn
int wf(void);int oldn(void);int use(void){return wf()+oldn();}
#pragma pack(push,2)
struct p{char c;long l;};
#pragma pack(pop)
int sz=sizeof(struct p);
