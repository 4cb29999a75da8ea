/* What of CPython 3.11's PyThreadState belongs to a coroutine. See pystate.h.
 *
 * Peculiar to 3.11: frames hang from a _PyCFrame on the C stack, which also says whether this
 * stack is traced; one counter limits Python and C recursion alike.
 */
#include "pystate.h"

#define Py_BUILD_CORE 1
#include <Python.h>

#include <internal/pycore_frame.h>

#if PY_VERSION_HEX < 0x030b0000 || PY_VERSION_HEX >= 0x030c0000
#error "pystate_311.c is for CPython 3.11"
#endif

const size_t PC_PY_STACK_SIZE = 832 << 10;
const size_t PC_PY_RESERVE = 64 << 10;

struct state {
    _PyCFrame *cframe;
    _PyErr_StackItem *exc_info;
    PyObject *context;
    _PyStackChunk *chunk;
    PyObject **chunk_top, **chunk_limit;
    PyObject *trash_delete_later;
    int trash_delete_nesting;
    int depth; /* calls deep; the limit may change while we are suspended */
    int lent;  /* calls that the counter was given beyond a limit lowered since */
    int headroom;
    int tracing, tracing_what;
    _PyCFrame root_cframe;
    _PyErr_StackItem root_exc;
};

_Static_assert(sizeof(struct state) <= sizeof(struct pc_py_state), "pc_py_state is too small");

void *pc_py_thread(void)
{
    return _PyThreadState_UncheckedGet();
}

int pc_py_is_finalizing(void)
{
    return _Py_IsFinalizing();
}

void pc_py_fresh(struct pc_py_state *opaque, void *thread, char *floor, char *top, char *data,
                 size_t data_size)
{
    struct state *state = (struct state *)opaque;
    (void)thread, (void)floor, (void)top;
    memset(state, 0, sizeof *state);
    state->cframe = &state->root_cframe;
    state->exc_info = &state->root_exc;
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
    ((struct state *)opaque)->depth = tstate->recursion_limit - tstate->recursion_remaining;
}

void pc_py_save(struct pc_py_state *opaque, void *thread)
{
    struct state *state = (struct state *)opaque;
    PyThreadState *tstate = thread;
    state->cframe = tstate->cframe;
    state->exc_info = tstate->exc_info;
    state->context = tstate->context;
    state->chunk = tstate->datastack_chunk;
    state->chunk_top = tstate->datastack_top;
    state->chunk_limit = tstate->datastack_limit;
    state->trash_delete_later = tstate->trash_delete_later;
    state->trash_delete_nesting = tstate->trash_delete_nesting;
    state->depth = tstate->recursion_limit - tstate->recursion_remaining + state->lent;
    state->headroom = tstate->recursion_headroom;
    state->tracing = tstate->tracing;
    state->tracing_what = tstate->tracing_what;
}

void pc_py_restore(struct pc_py_state *opaque, void *thread)
{
    struct state *state = (struct state *)opaque;
    PyThreadState *tstate = thread;
    tstate->cframe = state->cframe;
    tstate->exc_info = state->exc_info;
    tstate->context = state->context;
    tstate->context_ver++;
    tstate->datastack_chunk = state->chunk;
    tstate->datastack_top = state->chunk_top;
    tstate->datastack_limit = state->chunk_limit;
    tstate->trash_delete_later = state->trash_delete_later;
    tstate->trash_delete_nesting = state->trash_delete_nesting;
    /* Far below zero the interpreter would give up: at zero the next call raises. */
    int remaining = tstate->recursion_limit - state->depth;
    state->lent = remaining < 0 ? -remaining : 0;
    tstate->recursion_remaining = remaining + state->lent;
    tstate->recursion_headroom = state->headroom;
    tstate->tracing = state->tracing;
    tstate->tracing_what = state->tracing_what;
    /* A tracer may have come or gone while we were suspended (_PyThreadState_UpdateTracingState
       tells only the running stack). */
    tstate->cframe->use_tracing =
        !state->tracing && (tstate->c_tracefunc || tstate->c_profilefunc) ? 255 : 0;
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
    Py_CLEAR(tstate->exc_info->exc_value); /* None, which the first `except` has left here */
}

void pc_py_empty_trash(void *thread)
{
    PyThreadState *tstate = thread;
    int nesting = tstate->trash_delete_nesting;
    tstate->trash_delete_nesting = 1;
    _PyTrash_end(tstate);
    tstate->trash_delete_nesting = nesting;
}

int pc_py_exhaust(void *thread)
{
    PyThreadState *tstate = thread;
    int taken = tstate->recursion_remaining;
    /* So deep in so few counted calls: this recursion is not counted, so it would not be stopped,
       and whatever comes after it would be. */
    if (taken <= 0 || tstate->recursion_limit - taken < 100)
        return 0;
    tstate->recursion_remaining = 0;
    return taken;
}

void pc_py_forgive(void *thread, int taken)
{
    ((PyThreadState *)thread)->recursion_remaining += taken;
}

int pc_py_tracing(void *thread)
{
    return ((PyThreadState *)thread)->tracing;
}

void pc_py_set_tracing(void *thread, int tracing)
{
    PyThreadState *tstate = thread;
    tstate->tracing = tracing;
    tstate->cframe->use_tracing =
        !tracing && (tstate->c_tracefunc || tstate->c_profilefunc) ? 255 : 0;
}

void *pc_py_frame(struct pc_py_state *opaque, void *thread)
{
    /* Asking for the running frame while another chain is in place. Making the frame object may
       start the collector on 3.11, which must not run then. */
    struct state *state = (struct state *)opaque;
    PyThreadState *tstate = thread;
    _PyCFrame *running = tstate->cframe;
    int collects = PyGC_Disable();
    tstate->cframe = state->cframe;
    PyFrameObject *frame = PyThreadState_GetFrame(tstate);
    tstate->cframe = running;
    if (collects)
        PyGC_Enable();
    return frame;
}

/* Nobody but the frame has a hold of its object. */
static int is_unseen(const _PyInterpreterFrame *frame)
{
    return frame && frame->owner == FRAME_OWNED_BY_THREAD &&
           (!frame->frame_obj || Py_REFCNT(frame->frame_obj) == 1);
}

int pc_py_is_unseen(const struct pc_py_state *opaque)
{
    const struct state *state = (const struct state *)opaque;
    const _PyInterpreterFrame *frame = state->cframe->current_frame;
    while (is_unseen(frame) && !frame->is_entry)
        frame = frame->previous;
    return is_unseen(frame) && !state->chunk->previous;
}

void pc_py_drop_frames(struct pc_py_state *opaque)
{
    /* Their variables stay: where the innermost frame's stack ends, the interpreter keeps in C. */
    struct state *state = (struct state *)opaque;
    _PyInterpreterFrame *frame = state->cframe->current_frame;
    for (; frame; frame = frame->is_entry ? NULL : frame->previous)
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
