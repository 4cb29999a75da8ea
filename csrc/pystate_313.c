/* What of CPython 3.13's PyThreadState belongs to a coroutine. See pystate.h.
 *
 * Peculiar to 3.13: frames hang from the thread state itself; objects whose deallocation was put
 * off are a list with no depth of its own; the limit of C calls is far above 3.12.1's.
 */
#include "pystate.h"

#define Py_BUILD_CORE 1
#include <Python.h>

#include <internal/pycore_frame.h>

#if PY_VERSION_HEX < 0x030d0000 || PY_VERSION_HEX >= 0x030e0000
#error "pystate_313.c is for CPython 3.13"
#endif
#ifdef Py_GIL_DISABLED
#error "pycoro needs the GIL: build it for the default CPython 3.13, not for the free-threaded one"
#endif

const size_t PC_PY_STACK_SIZE = 832 << 10;
const size_t PC_PY_RESERVE = 64 << 10;

/* Calls in C that a coroutine may nest: not the 10,000 of a thread (Py_C_RECURSION_LIMIT), whose
   compiler and AST recursions, which go by what is left of them, would need twice our stack. */
enum { C_CALLS = 3000 };

struct state {
    struct _PyInterpreterFrame *frame;
    _PyErr_StackItem *exc_info;
    PyObject *context;
    _PyStackChunk *chunk;
    PyObject **chunk_top, **chunk_limit;
    PyObject *delete_later;
    PyObject *previous_executor;
    int py_depth; /* calls deep; the limit may change while we are suspended */
    int lent;  /* calls that the counter was given beyond a limit lowered since */
    int c_remaining;
    int headroom;
    int tracing, what_event;
    _PyErr_StackItem root_exc;
};

_Static_assert(sizeof(struct state) <= sizeof(struct pc_py_state), "pc_py_state is too small");

void *pc_py_thread(void)
{
    return PyThreadState_GetUnchecked();
}

int pc_py_is_finalizing(void)
{
    return Py_IsFinalizing();
}

void pc_py_fresh(struct pc_py_state *opaque, void *thread, char *floor, char *top, char *data,
                 size_t data_size)
{
    struct state *state = (struct state *)opaque;
    (void)thread, (void)floor, (void)top;
    memset(state, 0, sizeof *state);
    state->exc_info = &state->root_exc;
    state->c_remaining = C_CALLS;
    /* The interpreter never frees the chunk that has no previous one, and keeps its first slot
       unused to know it by (push_chunk in Python/pystate.c). */
    state->chunk = (_PyStackChunk *)(void *)data;
    state->chunk->previous = NULL;
    state->chunk->size = data_size;
    state->chunk->top = 0;
    state->chunk_top = &state->chunk->data[1];
    state->chunk_limit = (PyObject **)(void *)(data + data_size);
}

void pc_py_inherit_depth(struct pc_py_state *opaque, void *thread)
{
    const PyThreadState *tstate = thread;
    ((struct state *)opaque)->py_depth = tstate->py_recursion_limit - tstate->py_recursion_remaining;
}

void pc_py_save(struct pc_py_state *opaque, void *thread)
{
    struct state *state = (struct state *)opaque;
    PyThreadState *tstate = thread;
    state->frame = tstate->current_frame;
    state->exc_info = tstate->exc_info;
    state->context = tstate->context;
    state->chunk = tstate->datastack_chunk;
    state->chunk_top = tstate->datastack_top;
    state->chunk_limit = tstate->datastack_limit;
    state->delete_later = tstate->delete_later;
    state->previous_executor = tstate->previous_executor;
    state->py_depth = tstate->py_recursion_limit - tstate->py_recursion_remaining + state->lent;
    state->c_remaining = tstate->c_recursion_remaining;
    state->headroom = tstate->recursion_headroom;
    state->tracing = tstate->tracing;
    state->what_event = tstate->what_event;
}

void pc_py_restore(struct pc_py_state *opaque, void *thread)
{
    struct state *state = (struct state *)opaque;
    PyThreadState *tstate = thread;
    tstate->current_frame = state->frame;
    tstate->exc_info = state->exc_info;
    tstate->context = state->context;
    tstate->context_ver++;
    tstate->datastack_chunk = state->chunk;
    tstate->datastack_top = state->chunk_top;
    tstate->datastack_limit = state->chunk_limit;
    tstate->delete_later = state->delete_later;
    tstate->previous_executor = state->previous_executor;
    /* Far below zero the interpreter would give up: at zero the next call raises. */
    int remaining = tstate->py_recursion_limit - state->py_depth;
    state->lent = remaining < 0 ? -remaining : 0;
    tstate->py_recursion_remaining = remaining + state->lent;
    tstate->c_recursion_remaining = state->c_remaining;
    tstate->recursion_headroom = state->headroom;
    tstate->tracing = state->tracing;
    tstate->what_event = state->what_event;
}

int pc_py_is_behind; /* never */

void pc_py_catch_up(void *thread)
{
    (void)thread;
}

void pc_py_release(void *thread)
{
    PyThreadState *tstate = thread;
    tstate->context_ver++;
    Py_CLEAR(tstate->context);
    /* On a small stack a deallocation may be put off for good: there is never room enough. */
    if (tstate->delete_later)
        _PyTrash_thread_destroy_chain(tstate);
}

void pc_py_empty_trash(void *thread)
{
    PyThreadState *tstate = thread;
    const int enough = Py_TRASHCAN_HEADROOM + 10;
    tstate->c_recursion_remaining += enough;
    _PyTrash_thread_destroy_chain(tstate);
    tstate->c_recursion_remaining -= enough;
}

int pc_py_exhaust(void *thread)
{
    PyThreadState *tstate = thread;
    int taken = tstate->c_recursion_remaining;
    /* So deep in so few counted calls: this recursion is not counted, so it would not be stopped,
       and whatever comes after it would be. */
    if (taken <= 0 || C_CALLS - taken < 100)
        return 0;
    tstate->c_recursion_remaining = 0;
    return taken;
}

void pc_py_forgive(void *thread, int taken)
{
    ((PyThreadState *)thread)->c_recursion_remaining += taken;
}

int pc_py_tracing(void *thread)
{
    return ((PyThreadState *)thread)->tracing;
}

void pc_py_set_tracing(void *thread, int tracing)
{
    ((PyThreadState *)thread)->tracing = tracing;
}

void *pc_py_frame(struct pc_py_state *opaque, void *thread)
{
    /* Asking for the running frame while another chain is in place. Since 3.12 no allocation
       runs the collector, so nobody sees it. */
    struct state *state = (struct state *)opaque;
    PyThreadState *tstate = thread;
    struct _PyInterpreterFrame *running = tstate->current_frame;
    tstate->current_frame = state->frame;
    PyFrameObject *frame = PyThreadState_GetFrame(tstate);
    tstate->current_frame = running;
    return frame;
}

/* Nobody but the frame has a hold of its object. */
static int is_unseen(const struct _PyInterpreterFrame *frame)
{
    return frame && frame->owner == FRAME_OWNED_BY_THREAD &&
           (!frame->frame_obj || Py_REFCNT(frame->frame_obj) == 1);
}

int pc_py_is_unseen(const struct pc_py_state *opaque)
{
    const struct state *state = (const struct state *)opaque;
    const struct _PyInterpreterFrame *frame = state->frame;
    while (is_unseen(frame))
        frame = frame->previous;
    return frame && frame->owner == FRAME_OWNED_BY_CSTACK && !state->chunk->previous;
}

void pc_py_drop_frames(struct pc_py_state *opaque)
{
    /* Their variables stay: where the innermost frame's stack ends, the interpreter keeps in C. */
    struct state *state = (struct state *)opaque;
    struct _PyInterpreterFrame *frame = state->frame;
    for (; frame->owner == FRAME_OWNED_BY_THREAD; frame = frame->previous)
        Py_CLEAR(frame->frame_obj);
}

void *pc_py_context(const struct pc_py_state *opaque)
{
    return Py_XNewRef(((const struct state *)opaque)->context);
}

void *pc_py_set_context(struct pc_py_state *opaque, void *context)
{
    struct state *state = (struct state *)opaque;
    void *former = state->context;
    state->context = context;
    return former;
}

void *pc_py_copy_context(void *thread)
{
    PyObject *context = ((PyThreadState *)thread)->context;
    if (!context || PyObject_Length(context) == 0)
        return NULL;
    return PyContext_Copy(context);
}
