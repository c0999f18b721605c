.section .rodata
.incbin "data.bin"
