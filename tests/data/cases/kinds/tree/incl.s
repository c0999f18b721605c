.include "frag.inc"
