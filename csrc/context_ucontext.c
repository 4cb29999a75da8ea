/* Entering a stack by ucontext, and what tools are told. See context.h.
 *
 * A new context is run at once up to where it switches back, so that from then on it is like any
 * suspended one: what ucontext costs is paid once for a stack.
 */
#include "context.h"

#ifdef PC_TELL_TOOLS
#include <sanitizer/common_interface_defs.h>
#include <valgrind/valgrind.h>
#endif

struct birth {
    struct pc_context *context;
    void (*entry)(void *);
    void *argument;
    struct pc_context creator; /* who waits until the new one has come up */
};

/* makecontext passes ints only; the thread is the same on both sides, so a thread-local does. */
static _Thread_local struct birth *being_born;

#ifdef PC_TELL_TOOLS

/* Functions of AddressSanitizer, absent in a build that is for valgrind alone. */
#pragma weak __sanitizer_start_switch_fiber
#pragma weak __sanitizer_finish_switch_fiber

static _Thread_local struct pc_context *leaving;

static void tell_departure(struct pc_context *from, const struct pc_context *to)
{
    leaving = from;
    if (__sanitizer_start_switch_fiber)
        __sanitizer_start_switch_fiber(&from->fake_stack, to->stack_low, to->stack_size);
}

static void tell_arrival(struct pc_context *me)
{
    const void *low = NULL;
    size_t size = 0;
    if (!__sanitizer_finish_switch_fiber)
        return;
    __sanitizer_finish_switch_fiber(me->fake_stack, &low, &size);
    if (!leaving->stack_low) { /* a thread's own stack, whose bounds only the tool knows */
        leaving->stack_low = low;
        leaving->stack_size = size;
    }
}

void pc_context_swap(struct pc_context *from, struct pc_context *to)
{
    tell_departure(from, to);
    pc_context_jump(from, to);
    tell_arrival(from);
}

#else

static void tell_departure(struct pc_context *from, const struct pc_context *to)
{
    (void)from, (void)to;
}

static void tell_arrival(struct pc_context *me)
{
    (void)me;
}

#endif

static void trampoline(void)
{
    struct birth *birth = being_born;
    struct pc_context *me = birth->context;
    void (*entry)(void *) = birth->entry;
    void *argument = birth->argument;
    tell_arrival(me);
    tell_departure(me, &birth->creator);
    pc_context_jump(me, &birth->creator);
    tell_arrival(me);
    entry(argument);
}

int pc_context_create(struct pc_context *context, char *low, char *high, void (*entry)(void *),
                      void *argument)
{
    struct birth birth = {.context = context, .entry = entry, .argument = argument};
    ucontext_t fresh;
    if (pc_context_blank(&fresh) != 0)
        return -1;
    *context = (struct pc_context){0};
#ifdef PC_TELL_TOOLS
    context->stack_low = low;
    context->stack_size = (size_t)(high - low);
    context->valgrind_id = VALGRIND_STACK_REGISTER(low, high);
#endif
    fresh.uc_stack.ss_sp = low;
    fresh.uc_stack.ss_size = (size_t)(high - low);
    fresh.uc_link = NULL;
    makecontext(&fresh, trampoline, 0);
    being_born = &birth;
    tell_departure(&birth.creator, context);
    pc_context_park(&birth.creator, &fresh);
    tell_arrival(&birth.creator);
    being_born = NULL;
    return 0;
}

void pc_context_destroy(struct pc_context *context)
{
#ifdef PC_TELL_TOOLS
    VALGRIND_STACK_DEREGISTER(context->valgrind_id);
#endif
    context->sp = NULL;
}
