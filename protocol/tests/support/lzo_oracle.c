/* The judge of our LZO1X: a process that answers questions with Debian's liblzo2.
 *
 * Question: one letter, u32 size, u32 length, then that many bytes (numbers little-endian).
 *   'c'  compress                           size: not used
 *   'd'  decompress into at most size bytes
 *   'C'  time compressing, best of size     answer: seconds, as a double
 *   'D'  time decompressing, best of size   answer: seconds, as a double
 * Answer: i32 liblzo2's return value, u32 length, then that many bytes.
 */
#include <lzo/lzo1x.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static void must(int good) {
    if (!good) exit(1);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

int main(void) {
    static unsigned char work[LZO1X_1_MEM_COMPRESS];
    int op;
    must(lzo_init() == LZO_E_OK);
    while ((op = getchar()) != EOF) {
        uint32_t head[2];
        must(fread(head, 4, 2, stdin) == 2);
        uint32_t len = head[1];
        unsigned char *in = malloc(len + 1);
        must(in && fread(in, 1, len, stdin) == len);
        size_t room = op == 'd' ? head[0] : op == 'D' ? 255 * (size_t)len + 64 : len + len / 16 + 67;
        unsigned char *out = malloc(room + 1);
        must(out != NULL);
        lzo_uint got = room;
        int32_t result;
        double best = 1e9;
        int again = op == 'C' || op == 'D' ? (int)head[0] : 1;
        while (again-- > 0) {
            double start = now();
            got = room;
            if (op == 'c' || op == 'C') result = lzo1x_1_compress(in, len, out, &got, work);
            else result = lzo1x_decompress_safe(in, len, out, &got, NULL);
            double took = now() - start;
            if (took < best) best = took;
        }
        uint32_t answer = op == 'C' || op == 'D' ? sizeof best : (uint32_t)got;
        must(fwrite(&result, 4, 1, stdout) == 1 && fwrite(&answer, 4, 1, stdout) == 1);
        must(fwrite(op == 'C' || op == 'D' ? (void *)&best : out, 1, answer, stdout) == answer);
        must(fflush(stdout) == 0);
        free(in);
        free(out);
    }
    return 0;
}
