/* Switching on x86-64, System V ABI: six registers and two control words. See context.h.
 *
 * A suspended context's stack, upwards from sp: mxcsr and x87 control word (8 bytes), r15, r14,
 * r13, r12, rbx, rbp, return address. Control words are loaded only where they differ (of mxcsr,
 * the low six bits are status and nobody's): writing them is slow. Leaves by `ret`, so that the
 * processor's return predictor stays in step: both sides return to the same caller.
 */
#define _GNU_SOURCE /* REG_RSP */
#include "context.h"

#include <stdint.h>

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
    ".size pc_context_jump, .-pc_context_jump\n");

/* What pc_context_park() takes from a ucontext, makecontext sets: the rest may be old. */
int pc_context_blank(ucontext_t *blank)
{
    static ucontext_t first;
    static int known;
    if (!known && getcontext(&first) != 0)
        return -1;
    known = 1;
    *blank = first;
    return 0;
}

/* Not watched by AddressSanitizer, which may remember frames of the stack's last owner. */
__attribute__((no_sanitize_address)) void pc_context_park(struct pc_context *from,
                                                          const ucontext_t *to)
{
    /* Leaves, where the ucontext is to begin, what a suspended context leaves. Control words stay
       as they are, and so does the signal mask: for that, setcontext makes a system call. */
    const greg_t *registers = to->uc_mcontext.gregs;
    uint64_t *sp = (uint64_t *)(uintptr_t)registers[REG_RSP] - 8;
    uint32_t mxcsr;
    uint16_t x87;
    __asm__("stmxcsr %0\n\tfnstcw %1" : "=m"(mxcsr), "=m"(x87));
    sp[0] = mxcsr | (uint64_t)x87 << 32;
    sp[5] = (uint64_t)registers[REG_RBX];
    sp[6] = 0; /* rbp: where backtraces end */
    sp[7] = (uint64_t)registers[REG_RIP];
    struct pc_context fresh = {.sp = sp};
    pc_context_jump(from, &fresh);
}
