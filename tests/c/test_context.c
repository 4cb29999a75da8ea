/* context.h: what travels with a context (registers, floating point control) and what does not
 * (the signal mask); alignment at the entry; deep nesting; many switches.
 */
#define _GNU_SOURCE
#include "context.h"

#include "check.h"

#include <fenv.h>
#include <stdint.h>
#include <sys/mman.h>

enum { SIZE = 64 << 10 };

/* Switching is inline in some builds; assembly below needs a symbol. */
void test_swap(struct pc_context *from, struct pc_context *to);
void test_swap(struct pc_context *from, struct pc_context *to)
{
    pc_context_swap(from, to);
}

static char *new_stack(void)
{
    char *low = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(low != MAP_FAILED);
    return low;
}

static struct pc_context home, away;

static void create(struct pc_context *context, void (*entry)(void *), void *argument)
{
    char *low = new_stack();
    CHECK(pc_context_create(context, low, low + SIZE, entry, argument) == 0);
}

static void look_around(void *argument)
{
    char **bounds = argument;
    _Alignas(16) char block[16];
    char *frame = __builtin_frame_address(0); /* block may be on a sanitizer's fake stack */
    CHECK(frame > bounds[0] && frame < bounds[1]);
    CHECK((uintptr_t)block % 16 == 0);
#ifdef __x86_64__
    __asm__ volatile("movaps %%xmm0, (%0)" : : "r"(block) : "memory");
    CHECK((uintptr_t)frame % 16 == 0); /* it points to the pushed rbp: the ABI is kept */
#endif
    bounds[2] = block;
    pc_context_swap(&away, &home);
    CHECK(!"a context that nobody switches to goes on");
}

static void entry_runs_on_its_stack_and_is_aligned(void)
{
    for (int odd = 0; odd < 64; odd += 8) { /* a top of any alignment will do */
        char *low = new_stack(), *bounds[3] = {low, low + SIZE - odd, NULL};
        CHECK(pc_context_create(&away, low, bounds[1], look_around, bounds) == 0);
        CHECK(!bounds[2]); /* not before the first switch */
        pc_context_swap(&home, &away);
        CHECK(bounds[2]);
        pc_context_destroy(&away);
    }
}

#ifdef __x86_64__
/* switch_keeping(from, to, seed): puts seed.. into the callee-saved registers, switches, and
   gives 0 if they come back as they were. */
int switch_keeping(struct pc_context *from, struct pc_context *to, uintptr_t seed);
__asm__(".text\n.globl switch_keeping\n.type switch_keeping, @function\nswitch_keeping:\n"
        "    pushq %rbp\n    pushq %rbx\n    pushq %r12\n    pushq %r13\n"
        "    pushq %r14\n    pushq %r15\n    pushq %rdx\n"
        "    movq %rdx, %rbx\n    leaq 1(%rdx), %r12\n    leaq 2(%rdx), %r13\n"
        "    leaq 3(%rdx), %r14\n    leaq 4(%rdx), %r15\n    leaq 5(%rdx), %rbp\n"
        "    call test_swap\n"
        "    movq (%rsp), %rdx\n    xorl %eax, %eax\n"
        "    cmpq %rdx, %rbx\n    jne 9f\n"
        "    incq %rdx\n    cmpq %rdx, %r12\n    jne 9f\n"
        "    incq %rdx\n    cmpq %rdx, %r13\n    jne 9f\n"
        "    incq %rdx\n    cmpq %rdx, %r14\n    jne 9f\n"
        "    incq %rdx\n    cmpq %rdx, %r15\n    jne 9f\n"
        "    incq %rdx\n    cmpq %rdx, %rbp\n    je 8f\n"
        "9:  incl %eax\n"
        "8:  popq %rdx\n    popq %r15\n    popq %r14\n    popq %r13\n    popq %r12\n"
        "    popq %rbx\n    popq %rbp\n    ret\n.size switch_keeping, .-switch_keeping\n");

static void keep_registers(void *argument)
{
    for (uintptr_t seed = 1 << 20;; seed += 100)
        *(int *)argument |= switch_keeping(&away, &home, seed);
}

static void registers_travel(void)
{
    int spoiled = 0;
    create(&away, keep_registers, &spoiled);
    for (uintptr_t seed = 1; seed < 1000; seed += 10)
        CHECK(switch_keeping(&home, &away, seed) == 0 && !spoiled);
}

static unsigned short x87(void)
{
    unsigned short word;
    __asm__ volatile("fnstcw %0" : "=m"(word));
    return word;
}

static void set_x87(unsigned short word)
{
    __asm__ volatile("fldcw %0" : : "m"(word));
}

static void change_control_words(void *argument)
{
    (void)argument;
    __builtin_ia32_ldmxcsr(0x9f80); /* flush to zero */
    set_x87(0x027f);                /* 53 bits */
    for (;;) {
        pc_context_swap(&away, &home);
        CHECK((__builtin_ia32_stmxcsr() & 0xffc0) == 0x9f80 && x87() == 0x027f);
    }
}

static void control_words_are_each_ones_own(void)
{
    create(&away, change_control_words, NULL);
    unsigned mxcsr = __builtin_ia32_stmxcsr() & 0xffc0;
    unsigned short word = x87();
    CHECK(mxcsr != 0x9f80 && word != 0x027f);
    for (int i = 0; i < 100; i++) {
        pc_context_swap(&home, &away);
        CHECK((__builtin_ia32_stmxcsr() & 0xffc0) == mxcsr && x87() == word);
    }
    set_x87(0x037f ^ 0x0400); /* one of the two alone differs */
    pc_context_swap(&home, &away);
    CHECK(x87() == (0x037f ^ 0x0400));
}
#endif

static void round_upwards(void *argument)
{
    (void)argument;
    CHECK(fesetround(FE_UPWARD) == 0);
    for (;;) {
        pc_context_swap(&away, &home);
        CHECK(fegetround() == FE_UPWARD);
    }
}

static void rounding_is_each_ones_own(void)
{
    CHECK(fesetround(FE_TONEAREST) == 0);
    create(&away, round_upwards, NULL);
    for (int i = 0; i < 10; i++) {
        pc_context_swap(&home, &away);
        CHECK(fegetround() == FE_TONEAREST);
    }
}

static void block_a_signal(void *argument)
{
    sigset_t set;
    (void)argument;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    pc_context_swap(&away, &home);
}

static void look_at_the_mask(void *argument)
{
    sigprocmask(SIG_BLOCK, NULL, argument);
    pc_context_swap(&away, &home);
}

static void the_signal_mask_is_the_threads(void)
{
    sigset_t set;
    create(&away, block_a_signal, NULL);
    pc_context_swap(&home, &away);
    CHECK(sigprocmask(SIG_BLOCK, NULL, &set) == 0 && sigismember(&set, SIGUSR1));
    create(&away, look_at_the_mask, &set); /* not as it was when the first one was made */
    CHECK(sigprocmask(SIG_BLOCK, NULL, &set) == 0 && sigismember(&set, SIGUSR1));
    sigemptyset(&set);
    pc_context_swap(&home, &away);
    CHECK(sigismember(&set, SIGUSR1));
}

static void look_at_rounding(void *argument)
{
    *(int *)argument = fegetround();
    pc_context_swap(&away, &home);
}

static void a_new_one_rounds_as_its_creator(void)
{
    int modes[] = {FE_UPWARD, FE_TONEAREST, FE_DOWNWARD}, found = 0;
    for (int i = 0; i < 3; i++) {
        CHECK(fesetround(modes[i]) == 0);
        create(&away, look_at_rounding, &found);
        CHECK(fegetround() == modes[i]);
        pc_context_swap(&home, &away);
        CHECK(found == modes[i]);
    }
}

enum { DEEP = 1000 };
static struct pc_context chain[DEEP];
static int deepest, returned;

static void nest(void *argument)
{
    int level = (int)(intptr_t)argument;
    deepest = level;
    if (level + 1 < DEEP) { /* each is made by the one above it */
        create(&chain[level + 1], nest, (void *)(intptr_t)(level + 1));
        pc_context_swap(&chain[level], &chain[level + 1]);
    }
    returned++;
    pc_context_swap(&chain[level], level ? &chain[level - 1] : &home);
}

static void contexts_nest(void)
{
    create(&chain[0], nest, (void *)(intptr_t)0);
    pc_context_swap(&home, &chain[0]);
    CHECK(deepest == DEEP - 1 && returned == DEEP);
}

static void count_up(void *argument)
{
    for (;;) {
        ++*(int *)argument;
        pc_context_swap(&away, &home);
    }
}

static void a_million_switches(void)
{
    int count = 0, many = check_scale(1000000, 20000);
    create(&away, count_up, &count);
    for (int i = 1; i <= many; i++) {
        pc_context_swap(&home, &away);
        CHECK(count == i);
    }
}

int main(void)
{
    RUN(entry_runs_on_its_stack_and_is_aligned);
#ifdef __x86_64__
    RUN(registers_travel);
    if (!UNDER_VALGRIND) /* which has no such bits */
        RUN(control_words_are_each_ones_own);
#endif
    RUN(rounding_is_each_ones_own);
    RUN(a_new_one_rounds_as_its_creator);
    RUN(the_signal_mask_is_the_threads);
    RUN(contexts_nest);
    RUN(a_million_switches);
    return check_report("context");
}
