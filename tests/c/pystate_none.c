/* An interpreter with nothing in it but one word: fulfils csrc/pystate.h for tests without Python.
 *
 * test_interpreter is what a thread's interpreter state would be; a coroutine begins with 0 in
 * it, and it must change hands at every switch.
 */
#include "pystate_none.h"

#include "pystate.h"

#include <stdint.h>

const size_t PC_PY_STACK_SIZE = 256 << 10;
const size_t PC_PY_RESERVE = 96 << 10;

_Thread_local intptr_t test_interpreter;
volatile int test_exhausted, test_forgiven;
static _Thread_local char test_thread;

void *pc_py_thread(void)
{
    return &test_thread;
}

void pc_py_fresh(struct pc_py_state *state, void *thread, char *floor, char *top, char *data,
                 size_t data_size)
{
    (void)thread;
    state->words[0] = NULL;
    state->words[1] = floor;
    state->words[2] = top;
    state->words[3] = data;
    state->words[4] = data + data_size;
}

void pc_py_save(struct pc_py_state *state, void *thread)
{
    (void)thread;
    state->words[0] = (void *)test_interpreter;
}

void pc_py_restore(struct pc_py_state *state, void *thread)
{
    (void)thread;
    test_interpreter = (intptr_t)state->words[0];
}

void pc_py_release(void *thread)
{
    (void)thread;
}

int pc_py_exhaust(void *thread)
{
    (void)thread;
    test_exhausted++;
    return 10;
}

void pc_py_forgive(void *thread, int taken)
{
    (void)thread;
    test_forgiven += taken;
}

void *pc_py_frame(struct pc_py_state *state, void *thread)
{
    (void)state, (void)thread;
    return NULL;
}

void *pc_py_context(const struct pc_py_state *state)
{
    (void)state;
    return NULL;
}

void *pc_py_set_context(struct pc_py_state *state, void *context)
{
    (void)state, (void)context;
    return NULL;
}

void *pc_py_copy_context(void *thread)
{
    (void)thread;
    return NULL;
}
