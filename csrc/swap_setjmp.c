/* Switching by _setjmp and _longjmp: any processor, no system call. See context.h.
 *
 * A jmp_buf does not hold the floating point control words (glibc's does not, on x86-64), so the
 * floating point environment travels beside it, status flags included.
 *
 * Must be compiled without _FORTIFY_SOURCE, whose longjmp refuses to go to another stack.
 */
#include "context.h"

#include <fenv.h>
#include <setjmp.h>

void pc_context_jump(struct pc_context *from, const struct pc_context *to)
{
    jmp_buf here;
    fenv_t floating;
    fegetenv(&floating);
    from->sp = &here;
    if (_setjmp(here) == 0)
        _longjmp(*(jmp_buf *)to->sp, 1);
    fesetenv(&floating);
}

int pc_context_blank(ucontext_t *blank)
{
    return getcontext(blank); /* anew each time: setcontext takes the signal mask from it */
}

void pc_context_park(struct pc_context *from, const ucontext_t *to)
{
    jmp_buf here;
    fenv_t floating;
    fegetenv(&floating);
    from->sp = &here;
    if (_setjmp(here) == 0)
        setcontext(to);
    fesetenv(&floating);
}
