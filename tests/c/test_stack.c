/* stack.h: size classes, reuse, guards and reserves that really fault, pages given back, and what
 * happens where the system says no.
 *
 * madvise, mprotect, mmap and syscall are wrapped by the linker, so that a test can count them and
 * have them refuse.
 * Given "mprotect" as argument, every test runs as on a kernel without guards in mappings.
 */
#define _GNU_SOURCE
#include "stack.h"

#include "check.h"

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>

enum { K = 1024, PAGE = 4096, RESERVE = 96 * K, SIZE = 256 * K };

static int without_guards, refuse_mprotect, refuse_mmap, refuse_syscall, guard_calls;
static size_t largest_mmap = SIZE_MAX;

int __real_madvise(void *, size_t, int);
int __real_mprotect(void *, size_t, int);
void *__real_mmap(void *, size_t, int, int, int, off_t);
int __wrap_madvise(void *, size_t, int);
int __wrap_mprotect(void *, size_t, int);
void *__wrap_mmap(void *, size_t, int, int, int, off_t);
long __real_syscall(long, long, long, long, long, long, long);
long __wrap_syscall(long, long, long, long, long, long, long);

long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f)
{
    guard_calls++; /* process_madvise is all that stacks need it for */
    if (refuse_syscall) {
        errno = EPERM;
        return -1;
    }
    return __real_syscall(number, a, b, c, d, e, f);
}

int __wrap_madvise(void *low, size_t size, int advice)
{
    int guard = advice == 102 || advice == 103;
    guard_calls += guard;
    if (without_guards && guard) {
        errno = EINVAL;
        return -1;
    }
    return __real_madvise(low, size, advice);
}

int __wrap_mprotect(void *low, size_t size, int access)
{
    if (refuse_mprotect) {
        errno = ENOMEM;
        return -1;
    }
    return __real_mprotect(low, size, access);
}

void *__wrap_mmap(void *where, size_t size, int access, int flags, int file, off_t offset)
{
    if (refuse_mmap || size > largest_mmap) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return __real_mmap(where, size, access, flags, file, offset);
}

static struct pc_stack *get(size_t size, size_t reserve)
{
    enum pc_stack_error error;
    struct pc_stack *stack = pc_stack_get(size, reserve, &error);
    CHECK(stack && error == PC_STACK_OK);
    return stack;
}

static enum pc_stack_error get_fails(size_t size, size_t reserve)
{
    enum pc_stack_error error;
    CHECK(!pc_stack_get(size, reserve, &error));
    return error;
}

static void write_to(void *address)
{
    *(volatile char *)address = 1;
}

static void only_write_to(void *address)
{
    EXPECT_FAULT();
    write_to(address);
}

static void only_read_from(void *address)
{
    EXPECT_FAULT();
    (void)*(volatile char *)address;
}

static int faults(char *address)
{
    int writing = check_dies_by(SIGSEGV, only_write_to, address);
    int reading = check_dies_by(SIGSEGV, only_read_from, address);
    CHECK(writing == reading);
    return writing;
}

static void sizes_are_bounded_and_rounded_up(void)
{
    CHECK(get_fails(PC_STACK_MIN - 1, 0) == PC_STACK_BAD_SIZE);
    CHECK(get_fails(PC_STACK_MAX + 1, 0) == PC_STACK_BAD_SIZE);
    CHECK(get_fails(SIZE_MAX, 0) == PC_STACK_BAD_SIZE);
    CHECK(get_fails(0, 0) == PC_STACK_BAD_SIZE);
    CHECK(pc_stack_size(get(PC_STACK_MIN, 0)) >= PC_STACK_MIN);
    CHECK(pc_stack_size(get(SIZE + 1, 0)) > SIZE);
    struct pc_stack *largest = get(PC_STACK_MAX, 0);
    CHECK(pc_stack_size(largest) == PC_STACK_MAX);
    write_to(largest->border - 1);
}

static void a_span_is_guard_stack_border_data(void)
{
    struct pc_stack *stack = get(SIZE, 0);
    CHECK(pc_stack_size(stack) == SIZE && pc_stack_end(stack) - stack->low >= SIZE);
    CHECK(stack->low < pc_stack_floor(stack));
    CHECK(pc_stack_floor(stack) < stack->border);
    CHECK(stack->border < pc_stack_end(stack) - 4 * K);
    CHECK((uintptr_t)stack->border % 16 == 0);
    CHECK((uintptr_t)stack->border % PAGE >= 512); /* one page for the shallow of both sides */
    for (char *at = pc_stack_floor(stack); at < pc_stack_end(stack); at += 64)
        write_to(at);
    write_to(pc_stack_end(stack) - 1);
}

static void spans_do_not_overlap_and_borders_differ(void)
{
    enum { MANY = 100 };
    struct pc_stack *stacks[MANY];
    size_t colours = 0;
    for (int i = 0; i < MANY; i++) {
        stacks[i] = get(i % 2 ? SIZE : 2 * SIZE, 0);
        for (int k = 0; k < i; k++)
            CHECK(stacks[k]->low >= pc_stack_end(stacks[i]) ||
                  stacks[i]->low >= pc_stack_end(stacks[k]));
        colours += (uintptr_t)stacks[i]->border % PAGE != (uintptr_t)stacks[0]->border % PAGE;
    }
    CHECK(colours > MANY / 2);
}

static void the_last_freed_is_the_first_reused_within_its_class(void)
{
    struct pc_stack *one = get(SIZE, 0), *two = get(SIZE, 0), *large = get(2 * SIZE, 0);
    CHECK(!pc_stack_is_warm(one));
    one->border[-1] = 42;
    pc_stack_put(two);
    pc_stack_put(large);
    pc_stack_put(one);
#ifdef PC_STACK_HOSTILE
    CHECK(get(SIZE, 0) != one);
    CHECK(faults(one->border - PAGE) && faults(pc_stack_floor(two)));
    CHECK(one->border[0] == 0 && one->border[-1] == (char)0xdb);
    CHECK(check_dies_by(SIGSEGV, only_write_to, one->border));
#else
    CHECK(get(SIZE, 0) == one);
    CHECK(pc_stack_is_warm(one) && one->border[-1] == 42);
    CHECK(get(SIZE, RESERVE) != two); /* another reserve is another class */
    CHECK(get(SIZE, 0) == two);
    CHECK(get(2 * SIZE, 0) == large);
#endif
}

static void the_guard_faults_and_its_neighbours_do_not(void)
{
    struct pc_stack *stack = get(SIZE, 0), *second = get(SIZE, 0);
    char *floor = pc_stack_floor(stack);
    CHECK(faults(stack->low) && faults(floor - 1) && faults(floor - PAGE));
    CHECK(!faults(floor) && !faults(stack->border) && !faults(pc_stack_end(stack) - 1));
    CHECK(faults(second->low) && !faults(pc_stack_floor(second)));
    CHECK(floor - stack->low >= 2 * PAGE); /* a large frame must not step over it */
}

enum { MANY_GUARDS = 100 };

static void check_many_guards(void)
{
    struct pc_stack *stacks[MANY_GUARDS];
    for (int i = 0; i < MANY_GUARDS; i++)
        stacks[i] = get(SIZE, RESERVE);
    for (int i = 0; i < MANY_GUARDS; i += check_scale(1, 9)) {
        char *floor = pc_stack_floor(stacks[i]);
        CHECK(faults(stacks[i]->low) && faults(floor - 1) && !faults(floor));
    }
}

static void guards_of_many_are_installed_at_once(void)
{
    int by_calls = without_guards;
    get(2 * SIZE, 0);
    if (!by_calls) { /* does this kernel know how? */
        guard_calls = 0;
        get(2 * SIZE, 0), get(2 * SIZE, 0);
        by_calls = guard_calls > 2;
    }
    guard_calls = 0;
    check_many_guards();
    CHECK(by_calls || guard_calls < MANY_GUARDS / 4);
}

static void guards_are_installed_one_by_one_where_need_be(void)
{
    refuse_syscall = 1;
    check_many_guards();
}

static void the_reserve_opens_in_steps_down_to_the_guard(void)
{
    struct pc_stack *stack = get(SIZE, RESERVE);
    char *floor = pc_stack_floor(stack);
    CHECK(faults(floor - 1) && pc_stack_end(stack) - floor <= SIZE - RESERVE);
    int steps = 0;
    while (pc_stack_open(stack) == 0) {
        CHECK(pc_stack_floor(stack) < floor);
        floor = pc_stack_floor(stack);
        write_to(floor);
        if (steps++ < 3)
            CHECK(faults(floor - 1));
    }
    CHECK(steps > 1 && floor > stack->low + PAGE);
    CHECK(pc_stack_end(stack) - floor >= SIZE - 8 * PAGE); /* all but the guard */
    CHECK(faults(stack->low) && faults(floor - 1) && !faults(floor));
}

static void the_smallest_has_room_above_its_reserve(void)
{
    struct pc_stack *one = get(PC_STACK_MIN, RESERVE), *two = get(PC_STACK_MIN, RESERVE);
    CHECK(pc_stack_floor(one) <= one->border - 16 * K);
    CHECK(pc_stack_floor(one) > one->low && pc_stack_size(one) >= PC_STACK_MIN);
    for (char *at = pc_stack_floor(one); at < pc_stack_end(one); at += 64)
        write_to(at);
    pc_stack_put(one);
    CHECK(!faults(pc_stack_floor(two)) && faults(pc_stack_floor(two) - 1));
    pc_stack_put(two);
}

static void the_reserve_shuts_once_nobody_is_in_there(void)
{
    struct pc_stack *stack = get(SIZE, RESERVE);
    char *floor = pc_stack_floor(stack);
    CHECK(pc_stack_open(stack) == 0);
    char *open = pc_stack_floor(stack);
    CHECK(pc_stack_shut(stack, open + 16) == -1 && pc_stack_floor(stack) == open);
    write_to(open);
    CHECK(pc_stack_shut(stack, stack->border) == 0);
    CHECK(pc_stack_floor(stack) == floor && faults(floor - 1) && !faults(floor));
    CHECK(pc_stack_open(stack) == 0);
    pc_stack_put(stack);
    CHECK(pc_stack_floor(stack) == floor && faults(floor - 1));
}

static size_t resident(char *low, char *high)
{
    unsigned char pages[1024];
    low = (char *)((uintptr_t)low & -(uintptr_t)PAGE);
    size_t count = (size_t)(high - low) / PAGE, sum = 0;
    CHECK(count <= sizeof pages && mincore(low, count * PAGE, pages) == 0);
    for (size_t i = 0; i < count; i++)
        sum += pages[i] & 1;
    return sum;
}

#ifndef PC_STACK_HOSTILE
static size_t trimmed(void)
{
    struct pc_stack_stats stats;
    pc_stack_stats(&stats);
    return stats.trimmed;
}
#endif

static void a_deep_stack_gives_its_pages_back(void)
{
    struct pc_stack *stack = get(SIZE, 0);
    char *floor = pc_stack_floor(stack);
    memset(floor, 1, (size_t)(stack->border - floor));
    CHECK(resident(floor, stack->border) > 40);
    pc_stack_put(stack);
#ifndef PC_STACK_HOSTILE
    CHECK(trimmed() == 1);
    CHECK(resident(floor, stack->border) <= 8);
    CHECK(stack->border[-1] == 1); /* the part that the next owner needs is still there */
#endif
}

static void a_shallow_stack_keeps_its_pages(void)
{
    struct pc_stack *stack = get(SIZE, 0);
    memset(stack->border - 2 * K, 1, 2 * K);
    pc_stack_put(stack);
#ifndef PC_STACK_HOSTILE
    CHECK(trimmed() == 0 && stack->border[-2 * K] == 1);
#endif
}

static void an_address_finds_its_stack(void)
{
    struct pc_stack *one = get(SIZE, 0), *two = get(SIZE, 0);
    int local;
    CHECK(pc_stack_find(one->low) == one && pc_stack_find(pc_stack_end(one) - 1) == one);
    CHECK(pc_stack_find(two->border) == two);
    CHECK(!pc_stack_find(&local) && !pc_stack_find(NULL) && !pc_stack_find((void *)UINTPTR_MAX));
}

static void no_memory_is_reported_and_passes(void)
{
    refuse_mmap = 1;
    CHECK(get_fails(SIZE, 0) == PC_STACK_NO_MEMORY);
    refuse_mmap = 0;
    largest_mmap = 4 << 20; /* a span or two still are */
    struct pc_stack *one = get(SIZE, 0);
    write_to(one->border);
    largest_mmap = SIZE_MAX;
    CHECK(get(SIZE, 0) != one);
}

static void address_space_runs_out_gracefully(void)
{
    if (UNDER_TOOL) /* whose shadow memory needs the address space */
        return;
    struct rlimit limit = {1 << 30, 1 << 30};
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    enum pc_stack_error error;
    struct pc_stack *stack, *last = NULL;
    int count = 0;
    while ((stack = pc_stack_get(1 << 20, 0, &error))) {
        write_to(stack->border);
        last = stack;
        CHECK(++count < 1024);
    }
    CHECK(error == PC_STACK_NO_MEMORY && count > 64);
    pc_stack_put(last);
#ifndef PC_STACK_HOSTILE
    CHECK(get(1 << 20, 0) == last);
#endif
}

static void mappings_run_out_gracefully(void)
{
    without_guards = 1;
    struct pc_stack *one = get(SIZE, 0);
    refuse_mprotect = 1;
    CHECK(get_fails(SIZE, 0) == PC_STACK_NO_MAPPINGS);
    refuse_mprotect = 0;
    struct pc_stack *two = get(SIZE, 0);
    CHECK(two != one && faults(two->low));
}

static void a_full_pool_drops_pages_and_counts_are_right(void)
{
    int many = check_scale(20000, 300);
    struct pc_stack **stacks = malloc((size_t)many * sizeof *stacks);
    struct pc_stack_stats stats;
    if (without_guards) /* each guard is a mapping there, and 65,530 is all there is */
        many = 300;
    for (int i = 0; i < many; i++)
        write_to((stacks[i] = get(PC_STACK_MIN, 0))->border - 1);
    pc_stack_stats(&stats);
    CHECK(stats.in_use == (size_t)many && stats.stacks == (size_t)many && stats.warm == 0);
    CHECK(stats.mapped_bytes >= (size_t)many * PC_STACK_MIN && stats.slabs >= 1);
    for (int i = 0; i < many; i++)
        pc_stack_put(stacks[i]);
    pc_stack_stats(&stats);
    CHECK(stats.in_use == 0 && stats.stacks == (size_t)many);
#ifndef PC_STACK_HOSTILE
    CHECK(stats.warm + stats.trimmed == (size_t)many && stats.warm >= 300);
    for (int i = 0; i < many; i++)
        get(PC_STACK_MIN, 0);
    pc_stack_stats(&stats);
    CHECK(stats.stacks == (size_t)many && stats.warm == 0);
#endif
    free(stacks);
}

int main(int count, char **arguments)
{
    without_guards = count > 1 && strcmp(arguments[1], "mprotect") == 0;
    RUN(sizes_are_bounded_and_rounded_up);
    RUN(a_span_is_guard_stack_border_data);
    RUN(spans_do_not_overlap_and_borders_differ);
    RUN(the_last_freed_is_the_first_reused_within_its_class);
    RUN(the_guard_faults_and_its_neighbours_do_not);
    RUN(guards_of_many_are_installed_at_once);
    RUN(guards_are_installed_one_by_one_where_need_be);
    RUN(the_reserve_opens_in_steps_down_to_the_guard);
    RUN(the_smallest_has_room_above_its_reserve);
    RUN(the_reserve_shuts_once_nobody_is_in_there);
    RUN(a_deep_stack_gives_its_pages_back);
    RUN(a_shallow_stack_keeps_its_pages);
    RUN(an_address_finds_its_stack);
    RUN(no_memory_is_reported_and_passes);
    RUN(address_space_runs_out_gracefully);
    RUN(mappings_run_out_gracefully);
    RUN(a_full_pool_drops_pages_and_counts_are_right);
    return check_report(without_guards ? "stack, guards by mprotect" : "stack");
}
