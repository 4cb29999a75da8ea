/* See stack.h. Slabs hold spans of one class; a span is guarded once, when it becomes a stack. */
#define _GNU_SOURCE
#include "stack.h"

#include "free.h"
#include "pages.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef PC_STACK_HOSTILE
#include <sys/mman.h>
#endif

enum {
    PAGE = PC_PAGE,
    GUARD = 4 * PAGE,      /* more than the frame of any C function without a stack probe */
    WIRE = 4 * PAGE,       /* the tripwire */
    STEP = 32 << 10,       /* how much opens at a time */
    EXTRA = 3 << 20,       /* below the reserve of the first stacks of a class, at least, ... */
    EXTRA_STACKS = 1024,   /* ... of this many */
    TABLE = 2 << 20,       /* bytes of address space that one page table maps, itself a page */
    DATA = 12 << 10,       /* above the border's page: room that most users never leave */
    COLOURS = 7,           /* borders differ by COLOUR bytes, this many of them */
    COLOUR = 64,
    BORDER_IN_PAGE = 2560, /* of the border's page, for the C stack of a task that waits */
    KEEP_DEPTH = 16 << 10, /* a deeper stack gives pages back when it is freed */
    LEAST_DEPTH = KEEP_DEPTH + 2 * PAGE, /* of C stack above the reserve, in the smallest */
    WARM_MOST = 16384,     /* free stacks that may keep their pages */
    SLAB_MOST = 256 << 20, /* bytes of address space; the first slabs are smaller */
    AHEAD = 16,            /* stacks that are made at once, at most */
};

struct pc_slab {
    struct pc_slab *next; /* newest first, published with release order: see pc_stack_find */
    struct pc_class *class;
    char *memory;
    size_t span, extra; /* bytes of each span in all, and of extra in it */
    size_t count, made, cut; /* spans in all, made into stacks, handed out at least once */
    struct pc_free warm, cold;
    struct pc_stack stacks[];
};

struct pc_class {
    struct pc_class *next;
    size_t size, reserve;
    size_t next_count; /* spans of the next slab: doubles until SLAB_MOST */
    size_t stacks;     /* spans of all slabs */
    struct pc_slab *open;
    struct pc_free *warm, *cold; /* or NULL */
};

/* Guarded by the caller's lock, but for `slabs`, which a signal handler may walk. */
static _Atomic(struct pc_slab *) slabs;
static struct pc_class *classes;
static size_t warm_count, in_use_count, trimmed_count;

static size_t round_up(size_t size, size_t reserve)
{
    size_t unit = 16 << 10, least = GUARD + reserve + LEAST_DEPTH + PAGE + DATA;
    if (size < least)
        size = least;
    return (size + unit - 1) / unit * unit;
}

static struct pc_class *find_class(size_t size, size_t reserve)
{
    for (struct pc_class *class = classes; class; class = class->next)
        if (class->size == size && class->reserve == reserve)
            return class;
    struct pc_class *class = calloc(1, sizeof *class);
    if (!class)
        return NULL;
    class->size = size;
    class->reserve = reserve;
    class->next_count = 16;
    class->next = classes;
    return classes = class;
}

/* As many spans as `count`, or fewer when address space is short: says how many. Those with extra
   meet in the middle between two borders of page tables, so that the guard of one and what most
   users touch of the one below, its tripwire included, take one table and not two. */
static char *map_spans(size_t *count, size_t span, size_t extra)
{
    const size_t table = extra ? TABLE : 0;
    for (; *count >= 1; *count /= 2) {
        char *memory = pc_pages_map(*count * span + table);
        if (memory)
            return extra ? memory + ((table / 2 - (uintptr_t)memory) & (table - 1)) : memory;
    }
    return NULL;
}

static struct pc_slab *map_slab(struct pc_class *class)
{
    size_t count = class->next_count, span = class->size;
    if (class->stacks < EXTRA_STACKS)
        span = (span + EXTRA + TABLE - 1) & -(size_t)TABLE;
    size_t extra = span - class->size;
    while (count > 1 && count * span > SLAB_MOST)
        count /= 2;
    struct pc_slab *slab = calloc(1, sizeof *slab + count * sizeof slab->stacks[0]);
    if (!slab)
        return NULL;
    size_t most = count;
    char *memory = map_spans(&count, span, extra);
    if (!memory && extra) { /* rather none of them than no stack */
        extra = 0;
        span = class->size;
        count = most;
        memory = map_spans(&count, span, extra);
    }
    if (!memory) {
        free(slab);
        return NULL;
    }
    slab->memory = memory;
    slab->count = count;
    slab->span = span;
    slab->extra = extra;
    slab->class = class;
    slab->next = atomic_load_explicit(&slabs, memory_order_relaxed);
    atomic_store_explicit(&slabs, slab, memory_order_release);
    class->open = slab;
    class->stacks += count;
    if (class->next_count * class->size < SLAB_MOST)
        class->next_count *= 2;
    return slab;
}

static void drop_pages(char *low, char *high)
{
    /* Failing to give memory back is no failure for the owner; pages merely stay. */
    if (pc_pages_drop(low, (size_t)(high - low)) == 0)
        trimmed_count++;
}

#ifdef PC_STACK_HOSTILE
/* For tests: a dead stack faults until as many others have died, then it is like a new one. From
   the border's page up it may still be read, as coro.h promises. */
enum { QUARANTINE = 4096 };
static struct pc_stack *quarantine, **quarantine_end = &quarantine;
static size_t quarantine_count;

static void put_into_quarantine(struct pc_stack *stack)
{
    char *page = (char *)((uintptr_t)stack->border & -(uintptr_t)PAGE);
    memset(page, 0xdb, (size_t)(stack->border - page));
    drop_pages(stack->shut, page);
    if (mprotect(stack->shut, (size_t)(page - stack->shut), PROT_NONE) != 0 ||
        mprotect(page, (size_t)(pc_stack_end(stack) - page), PROT_READ) != 0)
        abort();
    stack->next = NULL;
    *quarantine_end = stack;
    quarantine_end = &stack->next;
    if (quarantine_count++ < QUARANTINE)
        return;
    struct pc_stack *oldest = quarantine;
    quarantine = oldest->next;
    quarantine_count--;
    size_t size = (size_t)(pc_stack_end(oldest) - oldest->shut);
    if (mprotect(oldest->shut, size, PROT_READ | PROT_WRITE) != 0)
        abort();
    drop_pages(oldest->shut, pc_stack_end(oldest));
    oldest->used = 0;
    pc_free_add(&oldest->slab->class->cold, &oldest->slab->cold, oldest);
}
#endif

static char *top_of_guard(const struct pc_stack *stack)
{
    return stack->low + GUARD;
}

static char *top_of_reserve(const struct pc_stack *stack)
{
    return top_of_guard(stack) + stack->slab->extra + stack->slab->class->reserve;
}

/* Where the tripwire is that ends at `top`. Where guards are mappings, all down to the guard is one
   with it: two mappings a stack, not four. */
static struct iovec wire_below(const struct pc_stack *stack, char *top)
{
    char *low = top_of_guard(stack);
    if (!pc_pages_are_split() && top - low > WIRE)
        low = top - WIRE;
    return (struct iovec){low, (size_t)(top - low)};
}

static int set_wire(struct pc_stack *stack, char *top)
{
    struct iovec wire = wire_below(stack, top);
    return wire.iov_len ? pc_pages_close(wire.iov_base, wire.iov_len) : 0;
}

/* Makes stacks of the next spans of the slab, with their guards, and with memory for the one page
   that each will use in any case. As many at once as there are before them: a system call and a
   page fault for each would cost half as much as all the rest, and few shall not pay for many. */
static int make_stacks(struct pc_slab *slab)
{
    struct iovec closed[2 * AHEAD], *end = closed, used[AHEAD];
    size_t first = slab->made, most = first ? first : 1, count = slab->count - first;
    if (most > AHEAD)
        most = AHEAD;
    if (pc_pages_are_split()) /* mappings are scarce */
        most = 1;
    if (count > most)
        count = most;
    for (size_t i = 0; i < count; i++) {
        size_t number = first + i;
        struct pc_stack *stack = &slab->stacks[number];
        stack->slab = slab;
        stack->low = slab->memory + number * slab->span;
        stack->shut = top_of_reserve(stack);
        char *page = stack->low + slab->span - DATA - PAGE;
        stack->border = page + BORDER_IN_PAGE + number % COLOURS * COLOUR;
        used[i] = (struct iovec){page, PAGE};
        /* Without extra the reserve is small enough to be shut as a whole, with the guard. */
        *end++ = slab->extra ? (struct iovec){stack->low, GUARD}
                             : (struct iovec){stack->low, (size_t)(stack->shut - stack->low)};
        if (slab->extra)
            *end++ = wire_below(stack, stack->shut);
    }
    if (pc_pages_close_all(closed, (size_t)(end - closed)) != 0)
        return -1;
    pc_pages_touch_all(used, count);
    slab->made += count;
    return 0;
}

static struct pc_stack *cut_stack(struct pc_class *class, enum pc_stack_error *error)
{
    struct pc_slab *slab = class->open;
    if (!slab || slab->cut == slab->count)
        slab = map_slab(class);
    if (!slab) {
        *error = PC_STACK_NO_MEMORY;
        return NULL;
    }
    if (slab->cut == slab->made && make_stacks(slab) != 0) {
        *error = pc_pages_are_split() ? PC_STACK_NO_MAPPINGS : PC_STACK_NO_MEMORY;
        return NULL;
    }
    return &slab->stacks[slab->cut++];
}

struct pc_stack *pc_stack_get(size_t size, size_t reserve, enum pc_stack_error *error)
{
    *error = PC_STACK_BAD_SIZE;
    if (size < PC_STACK_MIN || size > PC_STACK_MAX)
        return NULL;
    *error = PC_STACK_NO_MEMORY;
    struct pc_class *class = find_class(round_up(size, reserve), reserve);
    if (!class)
        return NULL;
    struct pc_stack *stack = pc_free_take(&class->warm);
    if (stack)
        warm_count--;
    else if (!(stack = pc_free_take(&class->cold)) && !(stack = cut_stack(class, error)))
        return NULL;
    *error = PC_STACK_OK;
    stack->next = NULL;
    in_use_count++;
    return stack;
}

static int got_deep(const struct pc_stack *stack)
{
    /* Whoever went below KEEP_DEPTH went through this page and left something in all of it but
       the holes of large frames: one cache line in eight is enough to see it. A page that was
       never written reads as zeros and costs no memory. */
    const char *page = (char *)(((uintptr_t)stack->border - KEEP_DEPTH) & -(uintptr_t)PAGE);
    for (size_t at = 0; at < PAGE; at += 512) {
        uint64_t line[8];
        memcpy(line, page + at, sizeof line);
        if (line[0] | line[1] | line[2] | line[3] | line[4] | line[5] | line[6] | line[7])
            return 1;
    }
    return 0;
}

void pc_stack_put(struct pc_stack *stack)
{
    struct pc_class *class = stack->slab->class;
    in_use_count--;
    pc_stack_shut(stack, stack->border);
#ifdef PC_STACK_HOSTILE
    put_into_quarantine(stack);
    return;
#endif
    if (warm_count >= WARM_MOST) {
        drop_pages(stack->shut, pc_stack_end(stack));
        stack->used = 0;
        pc_free_add(&class->cold, &stack->slab->cold, stack);
        return;
    }
    if (got_deep(stack))
        drop_pages(stack->shut, (char *)(((uintptr_t)stack->border - KEEP_DEPTH + PAGE) &
                                         -(uintptr_t)PAGE));
    stack->used = 1;
    pc_free_add(&class->warm, &stack->slab->warm, stack);
    warm_count++;
}

int pc_stack_is_warm(const struct pc_stack *stack)
{
    return stack->used;
}

char *pc_stack_end(const struct pc_stack *stack)
{
    return stack->low + stack->slab->span;
}

char *pc_stack_floor(const struct pc_stack *stack)
{
    return stack->shut;
}

size_t pc_stack_size(const struct pc_stack *stack)
{
    return stack->slab->class->size;
}

struct pc_stack *pc_stack_find(const void *address)
{
    const char *at = address;
    struct pc_slab *slab = atomic_load_explicit(&slabs, memory_order_acquire);
    for (; slab; slab = slab->next)
        if (at >= slab->memory && at < slab->memory + slab->count * slab->span)
            return &slab->stacks[(size_t)(at - slab->memory) / slab->span];
    return NULL;
}

int pc_stack_open(struct pc_stack *stack)
{
    char *top = stack->shut, *guard = top_of_guard(stack);
    if (top <= guard)
        return -1;
    char *low = top - guard > STEP ? top - STEP : guard;
    if (pc_pages_open(low, (size_t)(top - low)) != 0)
        return -1;
    stack->shut = low;
    return pc_pages_are_split() ? 0 : set_wire(stack, low);
}

int pc_stack_shut(struct pc_stack *stack, const char *sp)
{
    char *top = top_of_reserve(stack);
    if (stack->shut == top)
        return 0;
    if (sp < top + PAGE)
        return -1;
    /* If the system says no, it all stays open: safe, for the guard itself never opened. */
    char *guard = top_of_guard(stack);
    if (!pc_pages_are_split() && stack->shut > guard &&
        pc_pages_open(guard, (size_t)(stack->shut - guard)) != 0)
        return 0;
    drop_pages(stack->shut, top);
    if (set_wire(stack, top) == 0)
        stack->shut = top;
    return 0;
}

void pc_stack_stats(struct pc_stack_stats *stats)
{
    memset(stats, 0, sizeof *stats);
    for (struct pc_slab *slab = atomic_load(&slabs); slab; slab = slab->next) {
        stats->slabs++;
        stats->mapped_bytes += slab->count * slab->span;
        stats->stacks += slab->cut;
    }
    stats->in_use = in_use_count;
    stats->warm = warm_count;
    stats->trimmed = trimmed_count;
}
