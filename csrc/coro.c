/* See coro.h. */
#define _GNU_SOURCE
#include "coro.h"

#include "guard.h"

#include <stdint.h>
#include <stdlib.h>

_Thread_local struct pc_thread *pc_thread_here;

struct pc_thread *pc_thread_enter(void *owner)
{
    struct pc_thread *thread = calloc(1, sizeof *thread);
    if (!thread)
        return NULL;
    if (pc_guard_enter_thread() != 0) {
        free(thread);
        return NULL;
    }
    struct pc_coro *main = &thread->main;
    main->state = PC_CORO_RUNNING;
    main->thread = thread;
    main->previous = main->next = main;
    thread->current = main;
    thread->owner = owner;
    return pc_thread_here = thread;
}

void pc_thread_leave(struct pc_thread *thread)
{
    while (thread->main.next != &thread->main)
        pc_coro_abandon(thread->main.next);
    if (thread->dead)
        pc_stack_put(thread->dead->stack);
    if (pc_thread_here == thread) {
        pc_thread_here = NULL;
        pc_guard_leave_thread();
    }
    free(thread);
}

void pc_coro_put_dead_away(struct pc_thread *thread)
{
    struct pc_stack *stack = thread->dead->stack;
    thread->dead = NULL;
    pc_stack_put(stack);
}

static void leave_ring(struct pc_coro *coro)
{
    coro->previous->next = coro->next;
    coro->next->previous = coro->previous;
}

/* The last words of a coroutine and the first of the next one on this stack: one loop, so that a
   stack out of the pool needs no new context. */
static void live(void *argument)
{
    struct pc_coro *me = argument;
    for (;;) {
        struct pc_thread *thread = me->thread;
        if (thread->dead)
            pc_coro_put_dead_away(thread);
        struct pc_coro *heir = me->body(me);
        me->state = PC_CORO_DEAD;
        leave_ring(me);
        thread->dead = me;
        heir->state = PC_CORO_RUNNING;
        thread->current = heir;
        pc_py_restore(&heir->py, thread->owner);
        pc_context_swap(&me->context, &heir->context);
    }
}

static size_t aligned(size_t size)
{
    return (size + 15) & ~(size_t)15;
}

struct pc_coro *pc_coro_create(struct pc_thread *thread, size_t size, pc_body *body,
                               enum pc_stack_error *error)
{
    struct pc_stack *stack = pc_stack_get(size, PC_PY_RESERVE, error);
    if (!stack)
        return NULL;
    struct pc_coro *coro = (struct pc_coro *)(void *)stack->border;
    if (!pc_stack_is_warm(stack) &&
        pc_context_create(&coro->context, stack->low, stack->border, live, coro) != 0) {
        *error = PC_STACK_NO_MEMORY;
        pc_stack_put(stack);
        stack->used = 0; /* there is nothing of use to the next owner */
        return NULL;
    }
    char *data = stack->border + aligned(sizeof *coro);
    pc_py_fresh(&coro->py, thread->owner, pc_stack_floor(stack), stack->border, data,
                (size_t)(pc_stack_end(stack) - data));
    coro->state = PC_CORO_SUSPENDED;
    coro->thread = thread;
    coro->stack = stack;
    coro->body = body;
    coro->debt = coro->tripped = coro->borrowed = coro->nesting = 0;
    coro->object = coro->kept = coro->run = coro->label = coro->greenlet = NULL;
    coro->previous = thread->main.previous;
    coro->next = &thread->main;
    coro->previous->next = coro->next->previous = coro;
    return coro;
}

/* A runaway recursion is over once the stack pointer is back above the reserve: the next one
   shall find the reserve shut, and the recursion counter as it was. */
void pc_coro_settle(struct pc_thread *thread)
{
    struct pc_coro *from = thread->current;
    if (pc_stack_shut(from->stack, __builtin_frame_address(0)) != 0)
        return;
    pc_py_forgive(thread->owner, from->debt);
    from->debt = from->tripped = 0;
}

void pc_coro_abandon(struct pc_coro *coro)
{
    leave_ring(coro);
    coro->previous = coro->next = coro;
    coro->state = PC_CORO_DEAD;
    coro->thread = NULL;
}

void pc_coro_erase(struct pc_coro *coro)
{
    struct pc_stack *stack = coro->stack;
    pc_context_destroy(&coro->context);
    pc_stack_put(stack);
    stack->used = 0; /* whoever is next must enter it anew */
}
