/* Switching on x86-64, System V ABI: six registers and two control words. See context.h.
 *
 * A suspended context's stack, upwards from sp: mxcsr and x87 control word (8 bytes), r15, r14,
 * r13, r12, rbx, rbp, return address. Control words are loaded only where they differ (of mxcsr,
 * the low six bits are status and nobody's): writing them is slow. Leaves by `ret`, so that the
 * processor's return predictor stays in step: both sides return to the same caller.
 */
#include "context.h"

#if !defined(__x86_64__) || defined(__ILP32__)
#error "swap_x86_64.c is for 64-bit x86; build with swap_setjmp.c"
#endif

__asm__(
    ".text\n"
    ".p2align 4\n"
    ".globl pc_context_jump\n"
    ".hidden pc_context_jump\n"
    ".type pc_context_jump, @function\n"
    "pc_context_jump:\n"
    "    endbr64\n"
    "    pushq %rbp\n"
    "    pushq %rbx\n"
    "    pushq %r12\n"
    "    pushq %r13\n"
    "    pushq %r14\n"
    "    pushq %r15\n"
    "    subq $8, %rsp\n"
    "    stmxcsr (%rsp)\n"
    "    fnstcw 4(%rsp)\n"
    "    movl (%rsp), %eax\n"
    "    movzwl 4(%rsp), %ecx\n"
    "    movq %rsp, (%rdi)\n"
    "    movq (%rsi), %rsp\n"
    "    xorl (%rsp), %eax\n"
    "    testl $0xffc0, %eax\n"
    "    jne 2f\n"
    "1:  cmpw %cx, 4(%rsp)\n"
    "    jne 3f\n"
    "4:  addq $8, %rsp\n"
    "    popq %r15\n"
    "    popq %r14\n"
    "    popq %r13\n"
    "    popq %r12\n"
    "    popq %rbx\n"
    "    popq %rbp\n"
    "    ret\n"
    "2:  ldmxcsr (%rsp)\n"
    "    jmp 1b\n"
    "3:  fldcw 4(%rsp)\n"
    "    jmp 4b\n"
    ".size pc_context_jump, .-pc_context_jump\n"
    ".p2align 4\n"
    ".globl pc_context_park\n"
    ".hidden pc_context_park\n"
    ".type pc_context_park, @function\n"
    "pc_context_park:\n"
    "    endbr64\n"
    "    pushq %rbp\n"
    "    pushq %rbx\n"
    "    pushq %r12\n"
    "    pushq %r13\n"
    "    pushq %r14\n"
    "    pushq %r15\n"
    "    subq $8, %rsp\n"
    "    stmxcsr (%rsp)\n"
    "    fnstcw 4(%rsp)\n"
    "    movq %rsp, (%rdi)\n"
    "    movq %rsi, %rdi\n"
    "    call setcontext@PLT\n" /* 8 pushes since the caller's call: the stack is aligned */
    "    ud2\n"                  /* setcontext came back: it was given no valid context */
    ".size pc_context_park, .-pc_context_park\n");
