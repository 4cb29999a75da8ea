/* A test harness in a page: every test runs in a child process of its own.
 *
 * So each starts with untouched pools and handlers, may die, and takes no other test along. A
 * test fails by CHECK, by a signal, or by more than a minute. QUICK in the environment makes the
 * long ones short. Nothing here knows what is tested.
 */
#ifndef CHECK_H
#define CHECK_H

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Is a tool looking on, so that all is slow and some things are not as they are? And before a
   fault that is part of the test: */
#if defined(__SANITIZE_ADDRESS__)
#define UNDER_TOOL 1
#define UNDER_VALGRIND 0
#define EXPECT_FAULT() ((void)0)
#elif defined(PC_TELL_TOOLS)
#include <valgrind/valgrind.h>
#define UNDER_TOOL RUNNING_ON_VALGRIND
#define UNDER_VALGRIND RUNNING_ON_VALGRIND
#define EXPECT_FAULT() VALGRIND_DISABLE_ERROR_REPORTING
#else
#define UNDER_TOOL 0
#define UNDER_VALGRIND 0
#define EXPECT_FAULT() ((void)0)
#endif

#define CHECK(condition)                                                                         \
    do {                                                                                         \
        if (!(condition)) {                                                                      \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);              \
            _exit(1);                                                                            \
        }                                                                                        \
    } while (0)

static int tests_run, tests_failed;

static inline int check_scale(int full, int quick)
{
    return getenv("QUICK") || UNDER_TOOL ? quick : full;
}

/* How a child that runs body(argument) ends: as waitpid() says. What it writes to stderr goes
   to `heard`, where that is given. */
static inline int check_child(void (*body)(void *), void *argument, char *heard, size_t size)
{
    int ends[2];
    if (pipe(ends) != 0)
        abort();
    fflush(NULL);
    pid_t child = fork();
    if (child < 0)
        abort();
    if (child == 0) {
        alarm(60);
        close(ends[0]);
        if (heard)
            dup2(ends[1], STDERR_FILENO);
        close(ends[1]);
        body(argument);
        exit(0); /* not _exit: the leak checker runs then */
    }
    close(ends[1]);
    size_t got = 0;
    ssize_t more;
    char waste[512];
    while ((more = heard && got + 1 < size ? read(ends[0], heard + got, size - 1 - got)
                                           : read(ends[0], waste, sizeof waste)) > 0)
        got += heard && got + 1 < size ? (size_t)more : 0;
    if (heard)
        heard[got] = 0;
    close(ends[0]);
    int status = 0;
    if (waitpid(child, &status, 0) != child)
        abort();
    return status;
}

static inline int check_dies_by(int number, void (*body)(void *), void *argument)
{
    int status = check_child(body, argument, NULL, 0);
    return WIFSIGNALED(status) && WTERMSIG(status) == number;
}

static inline void check_call(void *test)
{
    (*(void (**)(void))test)();
}

static inline void check_run(const char *name, void (*test)(void))
{
    int status = check_child(check_call, &test, NULL, 0);
    tests_run++;
    if (status == 0)
        return;
    tests_failed++;
    if (WIFSIGNALED(status))
        printf("FAILED %s: signal %d (%s)\n", name, WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        printf("FAILED %s: exit status %d\n", name, WEXITSTATUS(status));
}

#define RUN(test) check_run(#test, test)

static inline int check_report(const char *what)
{
    printf("%s: %d passed, %d failed\n", what, tests_run - tests_failed, tests_failed);
    return tests_failed != 0;
}

#endif
