/* Register context: enter a stack once, then switch between stacks.
 *
 * context_ucontext.c enters a stack, by ucontext, on every processor. Exactly one swap_*.c
 * switches: swap_setjmp.c is the portable one, the others are faster and bear their processor's
 * name. A switch makes no system call (swapcontext does, for the signal mask, and costs four
 * times as much for it).
 *
 * Contract: callee-saved registers and the floating point control words travel with the context;
 * the signal mask does not, it belongs to the thread. A context is made under the caller's lock,
 * and never switched to from another thread. Built with PC_TELL_TOOLS, AddressSanitizer and
 * valgrind hear of every stack and switch.
 */
#ifndef PC_CONTEXT_H
#define PC_CONTEXT_H

#include <stddef.h>
#include <ucontext.h>

struct pc_context {
    void *sp; /* where a suspended context left its registers: on its own stack */
#ifdef PC_TELL_TOOLS
    const void *stack_low;
    size_t stack_size;
    void *fake_stack;
    unsigned valgrind_id;
#endif
};

/* Makes a context that calls entry(argument) on the stack [low, high) when it is first switched
   to. entry must not return. 0, or -1 with errno. */
int pc_context_create(struct pc_context *context, char *low, char *high, void (*entry)(void *),
                      void *argument);

/* The context's stack is about to be used for something else. */
void pc_context_destroy(struct pc_context *context);

/* What a swap_*.c defines. jump: saves the running context into *from and goes on in *to.
   blank: what makecontext is to make a ucontext from; 0, or -1 with errno. park: like jump, but
   goes on in a ucontext made so. */
void pc_context_jump(struct pc_context *from, const struct pc_context *to);
int pc_context_blank(ucontext_t *blank);
void pc_context_park(struct pc_context *from, const ucontext_t *to);

/* Saves the running context into *from and goes on in *to. */
#ifdef PC_TELL_TOOLS
void pc_context_swap(struct pc_context *from, struct pc_context *to);
#else
static inline void pc_context_swap(struct pc_context *from, struct pc_context *to)
{
    pc_context_jump(from, to);
}
#endif

#endif
