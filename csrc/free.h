/* Which free stack is the next to be used.
 *
 * What was freed last, for it is in the cache; after it what else is free in that slab, for the
 * page tables of neighbours are in the cache as well. In the order in which they were freed alone,
 * stacks of many coroutines that ended in any order would lie far apart from then on, and all that
 * switch there would wait for page tables.
 */
#ifndef PC_FREE_H
#define PC_FREE_H

#include "stack.h"

/* The free stacks of a slab. Those that have some are in a ring, which is known by the first. */
struct pc_free {
    struct pc_stack *stacks;
    struct pc_free *previous, *next;
};

static inline void pc_free_leave(struct pc_free **ring, struct pc_free *free)
{
    free->previous->next = free->next;
    free->next->previous = free->previous;
    if (*ring == free)
        *ring = free->next != free ? free->next : NULL;
}

/* The stack is free; `free` is of its slab, and becomes the first of the ring. */
static inline void pc_free_add(struct pc_free **ring, struct pc_free *free, struct pc_stack *stack)
{
    if (*ring != free) {
        if (free->stacks)
            pc_free_leave(ring, free);
        struct pc_free *first = *ring ? *ring : free;
        struct pc_free *last = *ring ? first->previous : free;
        free->previous = last;
        free->next = first;
        last->next = first->previous = *ring = free;
    }
    stack->next = free->stacks;
    free->stacks = stack;
}

/* The next one to be used, or NULL. */
static inline struct pc_stack *pc_free_take(struct pc_free **ring)
{
    struct pc_free *free = *ring;
    if (!free)
        return NULL;
    struct pc_stack *stack = free->stacks;
    free->stacks = stack->next;
    if (!free->stacks)
        pc_free_leave(ring, free);
    return stack;
}

#endif
