/* See guard.h. */
#define _GNU_SOURCE
#include "guard.h"

#include "coro.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    HANDLER_STACK = 64 << 10, /* SIGSTKSZ is too small where AVX-512 state is saved */
    PATIENCE = 8,             /* faults in a row at one address that the former handler may see */
};

/* Written under the lock of pc_guard_install()'s caller, while ours is not the handler. */
static struct sigaction former;
static pc_guard_name *name_of;

/* Volatile: set and read by the handler alone, which may interrupt itself. */
static void *volatile last_address;
static volatile sig_atomic_t repeats;

/* NULL where the thread had one already (faulthandler's, say). */
static _Thread_local void *handler_stack;

static void say(const char *text)
{
    ssize_t ignored = write(STDERR_FILENO, text, strlen(text));
    (void)ignored;
}

static void last_words(const struct pc_coro *coro, const struct pc_stack *stack)
{
    char name[160] = "?", text[640];
    if (name_of)
        name_of(coro, name, sizeof name);
    snprintf(text, sizeof text,
             "pycoro: fatal: C code overflowed the stack of the coroutine %s (%zu KiB).\n"
             "pycoro: give it more: Coroutine(..., stack_size=BYTES), or for all of them "
             "pycoro.stack_size(BYTES) before they are made.\n",
             name, pc_stack_size(stack) >> 10);
    say(text);
}

/* Not ours, or the end. We stay installed, and call the former handler. It may return without
   effect, as faulthandler's does once it is disabled: then the instruction faults again and again,
   and some time is the last. */
static void hand_over(int number, siginfo_t *info, void *context)
{
    repeats = info->si_addr == last_address ? repeats + 1 : 0;
    last_address = info->si_addr;
    int again = repeats >= PATIENCE;
    if (!again && (former.sa_flags & SA_SIGINFO) && former.sa_sigaction) {
        former.sa_sigaction(number, info, context);
        return;
    }
    if (!again && former.sa_handler != SIG_DFL && former.sa_handler != SIG_IGN) {
        former.sa_handler(number);
        return;
    }
    struct sigaction give_up = {.sa_handler = SIG_DFL};
    sigaction(SIGSEGV, &give_up, NULL);
    if (info->si_code <= 0) /* it was sent (kill), and does not come again by itself */
        raise(SIGSEGV);
}

static void on_fault(int number, siginfo_t *info, void *context)
{
    struct pc_thread *thread = pc_thread_here;
    struct pc_stack *stack = info->si_code > 0 ? pc_stack_find(info->si_addr) : NULL;
    if (stack && thread && thread->current->stack == stack) {
        if (pc_stack_open(stack) == 0) {
            thread->current->tripped = 1;
            thread->current->debt += pc_py_exhaust(thread->owner);
            return;
        }
        last_words(thread->current, stack);
    }
    hand_over(number, info, context);
}

int pc_guard_install(pc_guard_name *name)
{
    struct sigaction now, ours = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    if (sigaction(SIGSEGV, NULL, &now) != 0)
        return -1;
    if ((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_fault)
        return 0;
    former = now;
    name_of = name;
    sigemptyset(&ours.sa_mask);
    return sigaction(SIGSEGV, &ours, NULL);
}

int pc_guard_enter_thread(void)
{
    stack_t stack;
    if (sigaltstack(NULL, &stack) != 0)
        return -1;
    if (!(stack.ss_flags & SS_DISABLE))
        return 0;
    void *memory = mmap(NULL, HANDLER_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                        -1, 0);
    if (memory == MAP_FAILED)
        return -1;
    stack = (stack_t){.ss_sp = memory, .ss_size = HANDLER_STACK};
    if (sigaltstack(&stack, NULL) != 0) {
        munmap(memory, HANDLER_STACK);
        return -1;
    }
    handler_stack = memory;
    return 0;
}

void pc_guard_leave_thread(void)
{
    stack_t off = {.ss_flags = SS_DISABLE}, stack;
    if (!handler_stack)
        return;
    /* Somebody else's may have taken its place; theirs stays. */
    if (sigaltstack(NULL, &stack) == 0 && stack.ss_sp == handler_stack &&
        sigaltstack(&off, NULL) != 0)
        return;
    munmap(handler_stack, HANDLER_STACK);
    handler_stack = NULL;
}
