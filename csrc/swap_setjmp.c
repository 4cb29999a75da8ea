/* Switching by _setjmp and _longjmp: any processor, no system call. See context.h.
 *
 * Must be compiled without _FORTIFY_SOURCE, whose longjmp refuses to go to another stack.
 */
#include "context.h"

#include <setjmp.h>

void pc_context_jump(struct pc_context *from, const struct pc_context *to)
{
    jmp_buf here;
    from->sp = &here;
    if (_setjmp(here) == 0)
        _longjmp(*(jmp_buf *)to->sp, 1);
}

void pc_context_park(struct pc_context *from, const ucontext_t *to)
{
    jmp_buf here;
    from->sp = &here;
    if (_setjmp(here) == 0)
        setcontext(to);
}
