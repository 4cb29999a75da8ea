/* Memory of coroutines: stacks that are cut from slabs, guarded, reused.
 *
 * A stack is one span of a slab (a large private mapping), from the lowest address up:
 *
 *     | guard | extra | reserve | ... C stack, growing down | border | data, growing up ... |
 *
 * The guard never opens. At the top of the reserve is a tripwire: it faults, and pc_stack_open()
 * moves it down a step (see guard.h: that is how a runaway recursion is noticed). Extra, 3 MiB or
 * more, is for recursion that cannot be stopped and may end by itself; only the first 1,024 stacks
 * of a size have it (a few more, to fill a slab), for it costs page tables when there are many. The
 * border is in the middle of a page, so that a shallow user of both sides touches one page, and
 * differs from stack to stack, so that hot lines of many do not fall into the same cache sets.
 *
 * Contract: slabs are never unmapped, so a stale address stays readable. All calls but
 * pc_stack_find() and pc_stack_open() need the caller's lock (in Python: the GIL); those two are
 * safe inside a signal handler. Nothing here knows coroutines, contexts or Python.
 */
#ifndef PC_STACK_H
#define PC_STACK_H

#include <stddef.h>

struct pc_slab;

struct pc_stack {
    struct pc_stack *next; /* in the list of free ones */
    struct pc_slab *slab;
    char *low;     /* first byte of the span; the guard starts here */
    char *border;  /* the C stack starts below, data above */
    char *shut;    /* what is below is out of bounds for now: top of the tripwire */
    char used : 1; /* has content that the owner left there (pc_stack_is_warm) */
};

/* What went wrong with the last pc_stack_get() that gave NULL. */
enum pc_stack_error {
    PC_STACK_OK,
    PC_STACK_NO_MEMORY,   /* mmap or malloc said no: address space or memory limit */
    PC_STACK_NO_MAPPINGS, /* mprotect could not split a mapping: vm.max_map_count */
    PC_STACK_BAD_SIZE     /* not within PC_STACK_MIN..PC_STACK_MAX */
};

#define PC_STACK_MIN ((size_t)128 << 10)
#define PC_STACK_MAX ((size_t)1 << 30)

/* A stack of `size` bytes in all (rounded up to a size class, and to what `reserve` leaves room
   in), not counting extra, of which `reserve` bytes above the guard are shut. NULL: see *error. */
struct pc_stack *pc_stack_get(size_t size, size_t reserve, enum pc_stack_error *error);

/* Back into the pool. Shuts the reserve again, and gives pages back to the system where the C
   stack got deep or the pool is full. */
void pc_stack_put(struct pc_stack *stack);

/* Does the stack still hold what its last owner left near the border? */
int pc_stack_is_warm(const struct pc_stack *stack);

/* One past the last byte of the span; the lowest address the C stack may use right now. */
char *pc_stack_end(const struct pc_stack *stack);
char *pc_stack_floor(const struct pc_stack *stack);
size_t pc_stack_size(const struct pc_stack *stack);

/* The stack whose span holds the address, or NULL. */
struct pc_stack *pc_stack_find(const void *address);

/* Opens the next step of the reserve or of extra; 0, or -1 where only the guard is left. */
int pc_stack_open(struct pc_stack *stack);

/* Shuts what pc_stack_open() opened; 0, or -1 where `sp` is still down there. */
int pc_stack_shut(struct pc_stack *stack, const char *sp);

/* Counts for tests and reports. */
struct pc_stack_stats {
    size_t slabs, mapped_bytes, stacks, in_use, warm, trimmed;
};
void pc_stack_stats(struct pc_stack_stats *stats);

#endif
