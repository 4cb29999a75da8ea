/* guard.h: who hears of which fault. The reserve opens, the guard kills with a sentence, and faults
 * of others go to the handlers of others.
 *
 * Each fault happens in a child, whose end and last words are compared.
 */
#define _GNU_SOURCE
#include "guard.h"

#include "check.h"
#include "coro.h"
#include "pystate_none.h"

#include <pthread.h>
#include <stdint.h>

static struct pc_thread *here;
static char heard[4096];

static void name_it(const struct pc_coro *coro, char *text, size_t size)
{
    snprintf(text, size, "<%s>", coro->label ? (const char *)coro->label : "?");
}

static void begin(void)
{
    CHECK(pc_guard_install(name_it) == 0);
    CHECK((here = pc_thread_enter(pc_py_thread())) != NULL);
}

static void run(pc_body *body, void *argument)
{
    enum pc_stack_error error;
    struct pc_coro *coro = pc_coro_create(here, PC_PY_STACK_SIZE, body, &error);
    CHECK(coro);
    coro->label = "greedy";
    coro->run = argument;
    pc_coro_switch(here, coro);
}

/* Uses about `bytes` of stack, a kilobyte a call. Not watched by AddressSanitizer, for it writes
   ahead of the stack pointer: valgrind cannot go on after a fault in a call or push. */
static __attribute__((noinline, no_sanitize_address)) int dive(long bytes)
{
    volatile char *frame = __builtin_alloca(1024); /* never on a sanitizer's fake stack */
    frame[0] = (char)bytes;
    *(volatile char *)((uintptr_t)frame - 64) = 1;
    frame[1023] = 1;
    return bytes <= 0 ? 0 : dive(bytes - 1024) + frame[1023];
}

static struct pc_coro *diver(struct pc_coro *me)
{
    dive((long)(intptr_t)me->run);
    return &here->main;
}

static void overflow(void *unused)
{
    (void)unused;
    begin();
    run(diver, (void *)(16L << 20));
}

static int is_last_words(const char *text)
{
    return strstr(text, "pycoro: fatal: ") && strstr(text, "<greedy>") &&
           strstr(text, "256 KiB") && strstr(text, "stack_size");
}

static void overflow_says_who_and_dies(void)
{
    int status = check_child(overflow, NULL, heard, sizeof heard);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    CHECK(is_last_words(heard));
}

static void *overflow_in_thread(void *unused)
{
    overflow(unused);
    return NULL;
}

static void start_thread_that_overflows(void *unused)
{
    pthread_t thread;
    begin();
    CHECK(pthread_create(&thread, NULL, overflow_in_thread, unused) == 0);
    pthread_join(thread, NULL);
}

static void overflow_in_another_thread_as_well(void)
{
    int status = check_child(start_thread_that_overflows, NULL, heard, sizeof heard);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    CHECK(is_last_words(heard));
}

static void depth_within_bounds_is_nobodys_business(void)
{
    begin();
    run(diver, (void *)(64L << 10));
    CHECK(test_exhausted == 0);
}

static void the_reserve_opens_and_the_interpreter_hears(void)
{
    begin();
    run(diver, (void *)(180L << 10));
    CHECK(test_exhausted >= 1);
    int before = test_exhausted;
    run(diver, (void *)(180L << 10)); /* it was shut in between */
    CHECK(test_exhausted > before);
}

static struct pc_coro *diver_twice(struct pc_coro *me)
{
    long depth = (long)(intptr_t)me->run;
    dive(depth);
    pc_coro_switch(here, &here->main);
    dive(depth);
    return &here->main;
}

static void a_switch_from_above_forgives_and_shuts(void)
{
    begin();
    run(diver_twice, (void *)(180L << 10));
    int first = test_exhausted;
    CHECK(first >= 1 && test_forgiven == 10 * first);
    pc_coro_switch(here, here->main.next);
    CHECK(test_exhausted == 2 * first && here->main.next == &here->main);
}

static void say_and_leave(int number)
{
    (void)number;
    _exit(42);
}

static void fault(void *unused)
{
    (void)unused;
    EXPECT_FAULT();
    *(volatile int *)(uintptr_t)PC_STACK_MIN = 1;
}

static struct pc_coro *faulty(struct pc_coro *me)
{
    fault(me);
    return &here->main;
}

static void fault_in_coroutine(void *handler)
{
    if (handler)
        signal(SIGSEGV, say_and_leave);
    begin();
    run(faulty, NULL);
}

static void fault_in_main(void *handler)
{
    if (handler)
        signal(SIGSEGV, say_and_leave);
    begin();
    fault(NULL);
}

static void a_foreign_fault_goes_to_the_former_handler(void)
{
    void (*places[])(void *) = {fault_in_coroutine, fault_in_main};
    for (int i = 0; i < 2; i++) {
        int status = check_child(places[i], "handler", heard, sizeof heard);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 42 && !strstr(heard, "pycoro"));
    }
}

static void a_foreign_fault_without_handler_is_deadly(void)
{
    void (*places[])(void *) = {fault_in_coroutine, fault_in_main};
    for (int i = 0; i < 2; i++) {
        int status = check_child(places[i], NULL, heard, sizeof heard);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
        CHECK(!strstr(heard, "pycoro"));
    }
}

static void get_killed(void *handler)
{
    if (handler)
        signal(SIGSEGV, say_and_leave);
    begin();
    raise(SIGSEGV);
    kill(getpid(), SIGSEGV);
    _exit(7);
}

static void a_signal_that_was_sent_is_passed_on(void)
{
    int status = check_child(get_killed, "handler", NULL, 0);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 42);
    CHECK(check_dies_by(SIGSEGV, get_killed, NULL));
}

/* As faulthandler does: says its piece, puts back what it found, and lets it happen again. */
static struct sigaction found;

static void late_handler(int number)
{
    static const char text[] = "late ";
    ssize_t ignored = write(STDERR_FILENO, text, sizeof text - 1);
    (void)ignored;
    sigaction(number, &found, NULL);
}

static void install_late(void)
{
    struct sigaction late = {.sa_handler = late_handler, .sa_flags = SA_NODEFER | SA_ONSTACK};
    CHECK(sigaction(SIGSEGV, &late, &found) == 0);
}

static void fault_with_late_handler(void *again)
{
    begin();
    install_late();
    if (again)
        CHECK(pc_guard_install(name_it) == 0);
    run(faulty, NULL);
}

static void overflow_with_late_handler(void *again)
{
    begin();
    install_late();
    if (again)
        CHECK(pc_guard_install(name_it) == 0);
    run(diver, (void *)(16L << 20));
}

static void a_handler_that_came_later_is_heard_and_ends(void)
{
    for (int again = 0; again < 2; again++) {
        void *argument = again ? "again" : NULL;
        int status = check_child(fault_with_late_handler, argument, heard, sizeof heard);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
        CHECK(strstr(heard, "late ") && !strstr(heard, "pycoro"));
        status = check_child(overflow_with_late_handler, argument, heard, sizeof heard);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV && is_last_words(heard));
    }
}

static void installing_twice_changes_nothing(void)
{
    struct sigaction first, second;
    begin();
    CHECK(sigaction(SIGSEGV, NULL, &first) == 0);
    CHECK(pc_guard_install(name_it) == 0 && sigaction(SIGSEGV, NULL, &second) == 0);
    CHECK(first.sa_sigaction == second.sa_sigaction);
    CHECK(check_dies_by(SIGSEGV, fault, NULL));
}

static void a_thread_gets_a_signal_stack_and_gives_it_back(void)
{
    stack_t stack, own = {.ss_sp = malloc(64 << 10), .ss_size = 64 << 10};
    begin();
    CHECK(sigaltstack(NULL, &stack) == 0 && !(stack.ss_flags & SS_DISABLE));
    pc_thread_leave(here);
    CHECK(sigaltstack(NULL, &stack) == 0 && (stack.ss_flags & SS_DISABLE));
    CHECK(sigaltstack(&own, NULL) == 0); /* one that is there already stays */
    begin();
    CHECK(sigaltstack(NULL, &stack) == 0 && stack.ss_sp == own.ss_sp);
    pc_thread_leave(here);
    CHECK(sigaltstack(NULL, &stack) == 0 && stack.ss_sp == own.ss_sp);
}

int main(void)
{
    RUN(overflow_says_who_and_dies);
    RUN(overflow_in_another_thread_as_well);
    RUN(depth_within_bounds_is_nobodys_business);
    RUN(the_reserve_opens_and_the_interpreter_hears);
    RUN(a_switch_from_above_forgives_and_shuts);
    RUN(a_foreign_fault_goes_to_the_former_handler);
    RUN(a_foreign_fault_without_handler_is_deadly);
    RUN(a_signal_that_was_sent_is_passed_on);
    RUN(a_handler_that_came_later_is_heard_and_ends);
    RUN(installing_twice_changes_nothing);
    RUN(a_thread_gets_a_signal_stack_and_gives_it_back);
    return check_report("guard");
}
