/* The coroutine: a stack, a context and interpreter state, and the checks of switching.
 *
 * A coroutine belongs to one thread. Each thread has a main coroutine, which is the thread's own
 * stack. Control is passed explicitly: pc_coro_switch() names who goes on. What a coroutine does
 * is its body, a function that says who goes on when it ends; the stack then goes back to the
 * pool, and the next owner of that stack goes on in the same loop, at no cost of entering.
 *
 * Contract: the caller holds the lock that all threads share (in Python: the GIL) and keeps it
 * across a switch. A pc_coro lies on its own stack, which is never unmapped: a stale pointer may
 * be read, and reads as dead or as somebody else's. A main one lies in its thread's record, which
 * pc_thread_leave() frees. Nothing here knows Python objects; what of the interpreter belongs to a
 * coroutine is pystate.h's.
 */
#ifndef PC_CORO_H
#define PC_CORO_H

#include "context.h"
#include "pystate.h"
#include "stack.h"

#include <stddef.h>

struct pc_coro;
struct pc_thread;

/* Runs on the coroutine's stack; returns the one to go on with. */
typedef struct pc_coro *pc_body(struct pc_coro *me);

enum pc_coro_state { PC_CORO_FREE, PC_CORO_SUSPENDED, PC_CORO_RUNNING, PC_CORO_DEAD };

struct pc_coro {
    struct pc_context context;
    enum pc_coro_state state;
    struct pc_thread *thread; /* NULL once it is abandoned, or the thread has gone */
    struct pc_stack *stack;   /* NULL: a main coroutine */
    pc_body *body;
    void *object, *kept, *run, *label; /* the owner's: see object.h, api.c */
    void *greenlet; /* likewise: see greenlet.h */
    int borrowed;   /* of pc_py_tracing(): what others have to do with; see greenlet_switch.c */
    struct pc_coro *previous, *next; /* in the thread's ring of living ones; main is its head */
    int nesting; /* how many have started each other by a switch, up to this one */
    int tripped; /* it ran into the reserve; see guard.h */
    int debt;    /* what pc_py_exhaust() took from its recursion counter then */
    struct pc_py_state py;
};

struct pc_thread {
    struct pc_coro *current;
    void *carried;     /* what the switch under way brings along; the receiver takes it */
    int carried_throw; /* it is to be raised there */
    void *leftover;    /* of who ended; the receiver lets go of it */
    int calls;         /* some coroutine wants to be looked after: see object.h */
    void *owner;       /* the interpreter's name for this thread; NULL once it has gone */
    struct pc_coro *dead; /* ended, its stack not yet back in the pool */
    void *keywords, *tracer, *origin; /* greenlet_switch.c's: for who begins; of switches */
    struct pc_thread *next_gone; /* greenlet_thread.c's, and the next two */
    unsigned long long former_owner; /* it lingers: whose it was */
    int gone; /* the system's thread has ended */
    int tracing; /* greenlet_switch.c's, with a switch: in how many trace functions */
    struct pc_coro main;
};

/* The calling thread's, or NULL before pc_thread_enter(). */
extern _Thread_local struct pc_thread *pc_thread_here;

/* Makes the calling thread fit for coroutines. NULL: out of memory. */
struct pc_thread *pc_thread_enter(void *owner);

/* The calling thread gives up `thread`, which may be another, dead one's: what is still suspended
   there can never go on, and its stacks are lost. */
void pc_thread_leave(struct pc_thread *thread);

/* A new suspended coroutine of the calling thread on a stack of `size` bytes; NULL: see *error. */
struct pc_coro *pc_coro_create(struct pc_thread *thread, size_t size, pc_body *body,
                               enum pc_stack_error *error);

/* May the calling thread, known to the interpreter as `owner`, switch to it? */
static inline int pc_coro_is_open(const struct pc_coro *coro, const void *owner)
{
    return coro->thread && coro->thread->owner == owner &&
           (coro->state == PC_CORO_SUSPENDED || coro->state == PC_CORO_RUNNING);
}

/* The rare parts of a switch: the running one ran into its reserve; one has ended. */
void pc_coro_settle(struct pc_thread *thread);
void pc_coro_put_dead_away(struct pc_thread *thread);

/* Where there are so many coroutines that each has left the processor's caches when its turn comes,
   what it needs at once lies on both sides of its record: the C stack of a wait (0.7 to 1.2 KiB, by
   CPython's version) and the frames that wait. Coming upon one line after the other takes as many
   waits for memory; asked for all together they take few. One of two lines is enough where processors
   fetch pairs; what is in the cache costs next to nothing, and any address may be asked for. */
static inline void pc_coro_prefetch(const struct pc_coro *coro)
{
    enum { PAIR = 128, BELOW = 10, ABOVE = 10 };
    const char *at = (const char *)coro;
#pragma GCC unroll 20
    for (int pair = -BELOW; pair < ABOVE; pair++)
        __builtin_prefetch(at + pair * PAIR, 1);
}

/* Goes on in `to`, which is open to this thread; returns when somebody switches back. */
static inline void pc_coro_switch(struct pc_thread *thread, struct pc_coro *to)
{
    struct pc_coro *from = thread->current;
    if (to == from)
        return;
    pc_coro_prefetch(to);
    if (from->tripped)
        pc_coro_settle(thread);
    pc_py_save(&from->py, thread->owner);
    pc_py_restore(&to->py, thread->owner);
    from->state = PC_CORO_SUSPENDED;
    to->state = PC_CORO_RUNNING;
    thread->current = to;
    pc_context_swap(&from->context, &to->context);
    if (thread->dead)
        pc_coro_put_dead_away(thread);
}

/* The suspended coroutine will not go on: forgets it. Its stack is lost to the pool, for frames
   may still be read there. The second: nor that, its stack is to be used again. */
void pc_coro_abandon(struct pc_coro *coro);
void pc_coro_erase(struct pc_coro *coro);

/* Bytes of C stack that a suspended one has in use. */
static inline size_t pc_coro_depth(const struct pc_coro *coro)
{
    return (size_t)(coro->stack->border - (const char *)coro->context.sp);
}

#endif
