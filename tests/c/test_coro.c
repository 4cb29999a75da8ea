/* coro.h: trees of switches, ends and heirs, stacks used again, threads that leave, coroutines
 * that are abandoned, and interpreter state that travels along.
 */
#define _GNU_SOURCE
#include "coro.h"

#include "check.h"
#include "pystate_none.h"

#include <pthread.h>
#include <setjmp.h>

static char log_text[4096];
static struct pc_thread *here;

static void note(const char *what)
{
    CHECK(strlen(log_text) + strlen(what) + 2 < sizeof log_text);
    strcat(strcat(log_text, what), " ");
}

static void begin(void)
{
    here = pc_thread_enter(pc_py_thread());
    CHECK(here && here == pc_thread_here && here->current == &here->main);
}

static struct pc_coro *create(pc_body *body)
{
    enum pc_stack_error error;
    struct pc_coro *coro = pc_coro_create(here, PC_PY_STACK_SIZE, body, &error);
    CHECK(coro && error == PC_STACK_OK && coro->state == PC_CORO_SUSPENDED);
    CHECK(pc_coro_is_open(coro, here->owner));
    return coro;
}

static int living(void)
{
    int count = 0;
    for (struct pc_coro *coro = here->main.next; coro != &here->main; coro = coro->next) {
        CHECK(coro->next->previous == coro && coro->thread == here);
        count++;
    }
    return count;
}

static size_t in_use(void)
{
    struct pc_stack_stats stats;
    pc_stack_stats(&stats);
    return stats.in_use;
}

static struct pc_coro *others[3];

static struct pc_coro *leaf(struct pc_coro *me)
{
    note(me->label);
    CHECK(here->current == me && me->state == PC_CORO_RUNNING);
    pc_coro_switch(here, me->run);
    note(me->label);
    return me->run;
}

static struct pc_coro *branch(struct pc_coro *me)
{
    note(me->label);
    for (int i = 0; i < 2; i++) {
        others[i] = create(leaf);
        others[i]->label = i ? "right" : "left";
        others[i]->run = me;
        pc_coro_switch(here, others[i]);
        note("back");
    }
    pc_coro_switch(here, &here->main);
    pc_coro_switch(here, others[1]);
    pc_coro_switch(here, others[0]);
    note("done");
    return &here->main;
}

static void a_tree_of_switches(void)
{
    begin();
    struct pc_coro *root = create(branch);
    root->label = "root";
    pc_coro_switch(here, root);
    note("main");
    CHECK(living() == 3 && in_use() == 3);
    pc_coro_switch(here, root);
    CHECK(strcmp(log_text, "root left back right back main right left done ") == 0);
    CHECK(living() == 0 && in_use() == 0 && here->current == &here->main);
    pc_thread_leave(here);
    CHECK(!pc_thread_here);
}

static struct pc_coro *name_the_heir(struct pc_coro *me)
{
    note(me->label);
    return me->run;
}

static void an_heir_is_anyone_even_one_not_begun(void)
{
    begin();
    struct pc_coro *next = &here->main;
    char *names[] = {"third", "second", "first"};
    for (int i = 0; i < 3; i++) {
        struct pc_coro *coro = create(name_the_heir);
        coro->label = names[i];
        coro->run = next;
        next = coro;
    }
    pc_coro_switch(here, next);
    CHECK(strcmp(log_text, "first second third ") == 0 && living() == 0 && in_use() == 0);
}

static void the_next_one_lives_on_the_stack_of_the_last(void)
{
    begin();
    struct pc_coro *first = create(name_the_heir);
    first->label = "one";
    first->run = &here->main;
    pc_coro_switch(here, first);
    CHECK(first->state == PC_CORO_DEAD && !pc_coro_is_open(first, here->owner));
    for (int i = 0; i < 100; i++) {
        struct pc_coro *again = create(name_the_heir);
#ifndef PC_STACK_HOSTILE
        CHECK(again == first);
#else
        CHECK(again != first);
#endif
        again->label = "";
        again->run = &here->main;
        pc_coro_switch(here, again);
    }
}

static struct pc_coro *carry(struct pc_coro *me)
{
    for (intptr_t seen = (intptr_t)here->carried; seen != 0; seen = (intptr_t)here->carried) {
        CHECK(test_interpreter == (me->run ? (intptr_t)me->run : 0));
        me->run = (void *)seen;
        test_interpreter = seen;
        here->carried = (void *)(seen * 2);
        pc_coro_switch(here, &here->main);
    }
    return &here->main;
}

static void interpreter_state_and_what_is_carried_travel(void)
{
    begin();
    struct pc_coro *two[] = {create(carry), create(carry)};
    test_interpreter = -7;
    for (intptr_t i = 1; i < 50; i++) {
        here->carried = (void *)i;
        pc_coro_switch(here, two[i % 2]);
        CHECK((intptr_t)here->carried == 2 * i && test_interpreter == -7);
    }
    for (int i = 0; i < 2; i++) {
        here->carried = NULL;
        pc_coro_switch(here, two[i]);
    }
    CHECK(test_interpreter == -7 && living() == 0);
}

static void a_fresh_one_knows_its_bounds(void)
{
    begin();
    struct pc_coro *coro = create(leaf);
    char **bounds = (char **)coro->py.words;
    CHECK(bounds[1] == pc_stack_floor(coro->stack) && bounds[2] == coro->stack->border);
    CHECK((uintptr_t)bounds[3] % 16 == 0 && bounds[3] >= (char *)(coro + 1));
    CHECK(bounds[4] <= pc_stack_end(coro->stack) && bounds[4] - bounds[3] >= 512);
    memset(bounds[3], 0xff, (size_t)(bounds[4] - bounds[3]));
    coro->label = "";
    coro->run = &here->main;
    pc_coro_switch(here, coro);
    pc_coro_switch(here, coro);
    CHECK(living() == 0);
}

static void a_switch_to_oneself_goes_nowhere(void)
{
    begin();
    test_interpreter = 5;
    pc_coro_switch(here, &here->main);
    CHECK(here->current == &here->main && test_interpreter == 5);
    CHECK(here->main.state == PC_CORO_RUNNING);
}

static void an_abandoned_one_is_closed_and_its_stack_is_lost(void)
{
    begin();
    struct pc_coro *begun = create(leaf), *fresh = create(leaf), *kept = create(leaf);
    begun->label = kept->label = "";
    begun->run = kept->run = &here->main;
    pc_coro_switch(here, begun);
    pc_coro_switch(here, kept);
    pc_coro_abandon(begun);
    pc_coro_abandon(fresh);
    CHECK(!pc_coro_is_open(begun, here->owner) && !pc_coro_is_open(fresh, here->owner));
    CHECK(living() == 1);
    struct pc_coro *more = create(leaf);
    CHECK(more != begun && more != fresh);
    pc_coro_switch(here, kept);
    CHECK(living() == 1 && kept->state == PC_CORO_DEAD);
}

static void bad_sizes_are_refused(void)
{
    begin();
    enum pc_stack_error error;
    CHECK(!pc_coro_create(here, 1, leaf, &error) && error == PC_STACK_BAD_SIZE);
    CHECK(!pc_coro_create(here, PC_STACK_MAX + 1, leaf, &error) && error == PC_STACK_BAD_SIZE);
    CHECK(living() == 0);
}

static struct pc_coro *suspended_elsewhere;

static void *other_thread(void *argument)
{
    struct pc_thread *mine = pc_thread_enter(pc_py_thread());
    struct pc_coro *foreign = argument;
    CHECK(mine && mine != here && mine == pc_thread_here);
    CHECK(!pc_coro_is_open(foreign, mine->owner));
    enum pc_stack_error error;
    struct pc_coro *coro = pc_coro_create(mine, PC_PY_STACK_SIZE, leaf, &error);
    CHECK(coro && coro != foreign && pc_coro_is_open(coro, mine->owner));
    CHECK(!pc_coro_is_open(coro, here->owner));
    suspended_elsewhere = coro;
    pc_thread_leave(mine);
    CHECK(!pc_thread_here);
    return NULL;
}

static void a_thread_that_leaves_closes_its_own_alone(void)
{
    begin();
    struct pc_coro *coro = create(leaf);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, other_thread, coro) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(pc_thread_here == here && pc_coro_is_open(coro, here->owner) && living() == 1);
    CHECK(suspended_elsewhere->state == PC_CORO_DEAD && !suspended_elsewhere->thread);
    CHECK(!pc_coro_is_open(suspended_elsewhere, here->owner));
    pc_thread_leave(here);
}

static struct pc_coro *use_much(struct pc_coro *me)
{
    volatile char frame[100 << 10];
    for (size_t at = 0; at < sizeof frame; at += 512)
        frame[at] = 1;
    pc_coro_switch(here, me->run);
    for (size_t at = 0; at < sizeof frame; at += 512)
        CHECK(frame[at] == 1);
    return me->run;
}

static void deep_and_shallow_take_turns_on_the_same_stacks(void)
{
    begin();
    enum { MANY = 20 };
    for (int round = 0; round < 50; round++) {
        struct pc_coro *all[MANY];
        for (int i = 0; i < MANY; i++) {
            all[i] = create((i + round) % 3 ? leaf : use_much);
            all[i]->label = "";
            all[i]->run = &here->main;
            pc_coro_switch(here, all[i]);
        }
        log_text[0] = 0;
        for (int i = 0; i < MANY; i++)
            pc_coro_switch(here, all[(i * 7) % MANY]);
        log_text[0] = 0;
        CHECK(living() == 0 && in_use() == 0);
    }
}

static __attribute__((noinline)) void fall(jmp_buf out, int depth)
{
    volatile char *block = __builtin_alloca(100);
    block[0] = block[99] = 1;
    if (depth > 0)
        fall(out, depth - 1);
    else if (block[0])
        longjmp(out, 1);
}

static __attribute__((noinline)) void fill(int depth)
{
    char *block = __builtin_alloca(1000);
    memset(block, depth, 1000);
    if (depth > 0)
        fill(depth - 1);
    CHECK(block[0] == depth && block[999] == depth);
}

static struct pc_coro *jump_out(struct pc_coro *me)
{
    for (volatile int i = 0; i < 3; i++) { /* volatile: setjmp does not keep the others */
        jmp_buf out;
        if (setjmp(out) == 0)
            fall(out, 40);
        fill(10);
        pc_coro_switch(here, me->run);
    }
    return &here->main;
}

/* A sanitizer that was not told of the stack leaves it marked, and complains of fill(). */
static void longjmp_within_a_coroutine_is_fine(void)
{
    begin();
    struct pc_coro *two[] = {create(jump_out), create(jump_out)};
    two[0]->run = two[1]->run = &here->main;
    for (int i = 0; i < 8; i++)
        pc_coro_switch(here, two[i % 2]);
    CHECK(living() == 0 && in_use() == 0);
}

static struct pc_coro *silent(struct pc_coro *me)
{
    pc_coro_switch(here, &here->main);
    (void)me;
    return &here->main;
}

static void ten_thousand_at_once(void)
{
    int many = check_scale(10000, 300);
    struct pc_coro **all = malloc((size_t)many * sizeof *all);
    begin();
    for (int i = 0; i < many; i++)
        pc_coro_switch(here, all[i] = create(silent));
    CHECK(living() == many);
    for (int i = 0; i < many; i += 2)
        pc_coro_switch(here, all[i]);
    CHECK(living() == many / 2);
    for (int i = many - 1; i > 0; i -= 2)
        pc_coro_switch(here, all[i]);
    CHECK(living() == 0 && in_use() == 0);
    free(all);
}

static struct pc_coro *pass_on(struct pc_coro *me)
{
    while (me->run)
        pc_coro_switch(here, me->run);
    return &here->main;
}

static void a_million_switches(void)
{
    int many = check_scale(250000, 5000);
    begin();
    struct pc_coro *last = &here->main;
    for (int i = 0; i < 3; i++) {
        others[i] = create(pass_on);
        others[i]->run = last;
        last = others[i];
    }
    for (int i = 0; i < many; i++)
        pc_coro_switch(here, last);
    CHECK(living() == 3 && here->current == &here->main);
}

int main(void)
{
    RUN(a_tree_of_switches);
    RUN(an_heir_is_anyone_even_one_not_begun);
    RUN(the_next_one_lives_on_the_stack_of_the_last);
    RUN(interpreter_state_and_what_is_carried_travel);
    RUN(a_fresh_one_knows_its_bounds);
    RUN(a_switch_to_oneself_goes_nowhere);
    RUN(an_abandoned_one_is_closed_and_its_stack_is_lost);
    RUN(bad_sizes_are_refused);
    RUN(a_thread_that_leaves_closes_its_own_alone);
    RUN(deep_and_shallow_take_turns_on_the_same_stacks);
    RUN(longjmp_within_a_coroutine_is_fine);
    RUN(ten_thousand_at_once);
    RUN(a_million_switches);
    return check_report("coro");
}
