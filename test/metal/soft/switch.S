// The two routines that cannot be written in C++.
//
// objc_msgSend keeps every argument register, asks soft_lookup(self, selector) for the implementation, restores the registers and jumps to
// it; stack arguments are never touched, so any prototype works. Apple's does the same.
//
// soft_switch(void **save, void *to) leaves one stack for another; only callee-saved registers have to survive a call.
#if defined(__x86_64__)
    .text
    .globl objc_msgSend
    .type objc_msgSend,@function
objc_msgSend:
    testq %rdi, %rdi
    jz 1f
    pushq %rbp
    movq %rsp, %rbp
    subq $192, %rsp
    movq %rdi, 0(%rsp);  movq %rsi, 8(%rsp);  movq %rdx, 16(%rsp)
    movq %rcx, 24(%rsp); movq %r8, 32(%rsp);  movq %r9, 40(%rsp); movq %rax, 48(%rsp)
    movdqu %xmm0, 64(%rsp);  movdqu %xmm1, 80(%rsp);  movdqu %xmm2, 96(%rsp);  movdqu %xmm3, 112(%rsp)
    movdqu %xmm4, 128(%rsp); movdqu %xmm5, 144(%rsp); movdqu %xmm6, 160(%rsp); movdqu %xmm7, 176(%rsp)
    call soft_lookup@PLT
    movq %rax, %r11
    movq 0(%rsp), %rdi;  movq 8(%rsp), %rsi;  movq 16(%rsp), %rdx
    movq 24(%rsp), %rcx; movq 32(%rsp), %r8;  movq 40(%rsp), %r9; movq 48(%rsp), %rax
    movdqu 64(%rsp), %xmm0;  movdqu 80(%rsp), %xmm1;  movdqu 96(%rsp), %xmm2;  movdqu 112(%rsp), %xmm3
    movdqu 128(%rsp), %xmm4; movdqu 144(%rsp), %xmm5; movdqu 160(%rsp), %xmm6; movdqu 176(%rsp), %xmm7
    movq %rbp, %rsp
    popq %rbp
    jmp *%r11
1:  xorl %eax, %eax          // a message to nil answers zero
    xorl %edx, %edx
    pxor %xmm0, %xmm0
    ret
    .size objc_msgSend, .-objc_msgSend

    .globl soft_switch
    .hidden soft_switch
    .type soft_switch,@function
soft_switch:
    pushq %rbp; pushq %rbx; pushq %r12; pushq %r13; pushq %r14; pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15; popq %r14; popq %r13; popq %r12; popq %rbx; popq %rbp
    ret
    .size soft_switch, .-soft_switch
#elif defined(__aarch64__)
    .text
    .globl objc_msgSend
    .type objc_msgSend,%function
objc_msgSend:
    cbz x0, 1f
    stp x29, x30, [sp, #-224]!
    mov x29, sp
    stp x0, x1, [sp, #16];  stp x2, x3, [sp, #32]
    stp x4, x5, [sp, #48];  stp x6, x7, [sp, #64]
    str x8, [sp, #80]
    stp q0, q1, [sp, #96];  stp q2, q3, [sp, #128]
    stp q4, q5, [sp, #160]; stp q6, q7, [sp, #192]
    bl soft_lookup
    mov x16, x0
    ldp x0, x1, [sp, #16];  ldp x2, x3, [sp, #32]
    ldp x4, x5, [sp, #48];  ldp x6, x7, [sp, #64]
    ldr x8, [sp, #80]
    ldp q0, q1, [sp, #96];  ldp q2, q3, [sp, #128]
    ldp q4, q5, [sp, #160]; ldp q6, q7, [sp, #192]
    ldp x29, x30, [sp], #224
    br x16
1:  mov x1, #0               // a message to nil answers zero
    movi d0, #0
    ret
    .size objc_msgSend, .-objc_msgSend

    .globl soft_switch
    .hidden soft_switch
    .type soft_switch,%function
soft_switch:
    stp x29, x30, [sp, #-160]!
    stp x19, x20, [sp, #16]; stp x21, x22, [sp, #32]; stp x23, x24, [sp, #48]
    stp x25, x26, [sp, #64]; stp x27, x28, [sp, #80]
    stp d8, d9, [sp, #96];   stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]; stp d14, d15, [sp, #144]
    mov x9, sp
    str x9, [x0]
    mov sp, x1
    ldp x19, x20, [sp, #16]; ldp x21, x22, [sp, #32]; ldp x23, x24, [sp, #48]
    ldp x25, x26, [sp, #64]; ldp x27, x28, [sp, #80]
    ldp d8, d9, [sp, #96];   ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]; ldp d14, d15, [sp, #144]
    ldp x29, x30, [sp], #160
    ret
    .size soft_switch, .-soft_switch
#endif
    .section .note.GNU-stack,"",%progbits
