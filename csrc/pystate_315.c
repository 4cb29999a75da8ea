/* What of CPython 3.15's PyThreadState belongs to a coroutine. See pystate.h.
 *
 * Peculiar to 3.15: the chain of frames ends in a base frame that profilers look for, and they
 * leave a mark on the frame where their last sample ended. What sys.monitoring tells of exceptions
 * is a matter of each code.
 */
#include "pystate.h"

#define Py_BUILD_CORE 1
#include <Python.h>

#include <internal/pycore_code.h>
#include <internal/pycore_interpframe.h>
#include <internal/pycore_pythonrun.h>
#include <internal/pycore_stackref.h>
#include <internal/pycore_tstate.h>

#if PY_VERSION_HEX < 0x030f0000 || PY_VERSION_HEX >= 0x03100000
#error "pystate_315.c is for CPython 3.15"
#endif
#ifdef Py_GIL_DISABLED
#error "pycoro needs the GIL: build it for the default CPython 3.15, not for the free-threaded one"
#endif

const size_t PC_PY_STACK_SIZE = 416 << 10;
const size_t PC_PY_RESERVE = 0;

struct state {
    struct _PyInterpreterFrame *frame;
    _PyErr_StackItem *exc_info;
    PyObject *context;
    _PyStackChunk *chunk;
    PyObject **chunk_top, **chunk_limit;
    PyObject *delete_later;
    PyObject *current_executor;
    int py_depth; /* calls deep; the limit may change while we are suspended */
    int lent;  /* calls that the counter was given beyond a limit lowered since */
    int headroom;
    int tracing, what_event;
    uintptr_t c_top, c_soft_limit, c_hard_limit;
    uintptr_t instrumented; /* for which version of what sys.monitoring is to tell */
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
    memset(state, 0, sizeof *state);
    state->frame = ((PyThreadState *)thread)->base_frame;
    state->exc_info = &state->root_exc;
    state->instrumented = ((PyThreadState *)thread)->interp->ceval.instrumentation_version;
    /* As tstate_set_stack in Python/ceval.c does, above our guard. */
    state->c_top = (uintptr_t)top;
    state->c_hard_limit = (uintptr_t)floor + _PyOS_STACK_MARGIN_BYTES;
    state->c_soft_limit = (uintptr_t)floor + 2 * _PyOS_STACK_MARGIN_BYTES;
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

/* Who begins to monitor has the code of all running frames prepared; not of ours, which are in no
   thread's chain then. A code begins or goes on by an instruction that catches up on that, unless
   a trace function is running; but we go on in the middle. Raising in one that is not prepared
   would crash. Preparing lets go of what was compiled, and of what was put off then. */
int pc_py_is_behind;
static int began_while_traced; /* some frames of the running coroutine did, and it is over */

void pc_py_catch_up(void *thread)
{
    PyThreadState *tstate = thread;
    struct _PyInterpreterFrame *frame = tstate->current_frame;
    pc_py_is_behind = 0;
    for (; frame; frame = frame->previous)
        if (frame->owner < FRAME_OWNED_BY_INTERPRETER &&
            _Py_Instrument(_PyFrame_GetCode(frame), tstate->interp) != 0)
            PyErr_Clear(); /* no memory; what is to be raised here is not raised yet */
}

void pc_py_save(struct pc_py_state *opaque, void *thread)
{
    struct state *state = (struct state *)opaque;
    _PyThreadStateImpl *impl = thread;
    PyThreadState *tstate = thread;
    state->frame = tstate->current_frame;
    state->exc_info = tstate->exc_info;
    state->context = tstate->context;
    state->chunk = tstate->datastack_chunk;
    state->chunk_top = tstate->datastack_top;
    state->chunk_limit = tstate->datastack_limit;
    state->delete_later = tstate->delete_later;
    state->current_executor = tstate->current_executor;
    state->py_depth = tstate->py_recursion_limit - tstate->py_recursion_remaining + state->lent;
    state->c_top = impl->c_stack_top;
    state->c_soft_limit = impl->c_stack_soft_limit;
    state->c_hard_limit = impl->c_stack_hard_limit;
    state->headroom = tstate->recursion_headroom;
    state->tracing = tstate->tracing;
    state->what_event = tstate->what_event;
    state->instrumented = began_while_traced ? 0 : tstate->interp->ceval.instrumentation_version;
    began_while_traced = 0;
}

void pc_py_restore(struct pc_py_state *opaque, void *thread)
{
    struct state *state = (struct state *)opaque;
    _PyThreadStateImpl *impl = thread;
    PyThreadState *tstate = thread;
    tstate->current_frame = state->frame;
    tstate->last_profiled_frame = NULL; /* the mark is on another stack now */
    tstate->exc_info = state->exc_info;
    tstate->context = state->context;
    tstate->context_ver++;
    tstate->datastack_chunk = state->chunk;
    tstate->datastack_top = state->chunk_top;
    tstate->datastack_limit = state->chunk_limit;
    tstate->delete_later = state->delete_later;
    tstate->current_executor = state->current_executor;
    /* Far below zero the interpreter would give up: at zero the next call raises. */
    int remaining = tstate->py_recursion_limit - state->py_depth;
    state->lent = remaining < 0 ? -remaining : 0;
    tstate->py_recursion_remaining = remaining + state->lent;
    impl->c_stack_top = state->c_top;
    impl->c_stack_soft_limit = state->c_soft_limit;
    impl->c_stack_hard_limit = state->c_hard_limit;
    tstate->recursion_headroom = state->headroom;
    tstate->tracing = state->tracing;
    tstate->what_event = state->what_event;
    if (state->instrumented != tstate->interp->ceval.instrumentation_version)
        pc_py_is_behind = 1;
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
    _PyTrash_thread_destroy_chain(thread);
}

int pc_py_exhaust(void *thread)
{
    (void)thread; /* nothing to take: the interpreter looks at the address */
    return 0;
}

void pc_py_forgive(void *thread, int taken)
{
    (void)thread, (void)taken;
}

int pc_py_tracing(void *thread)
{
    return ((PyThreadState *)thread)->tracing;
}

void pc_py_set_tracing(void *thread, int tracing)
{
    ((PyThreadState *)thread)->tracing = tracing;
    began_while_traced = !tracing;
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
    return frame && frame->owner == FRAME_OWNED_BY_INTERPRETER && !state->chunk->previous;
}

void pc_py_drop_frames(struct pc_py_state *opaque)
{
    struct state *state = (struct state *)opaque;
    struct _PyInterpreterFrame *frame = state->frame;
    for (; frame->owner == FRAME_OWNED_BY_THREAD; frame = frame->previous) {
        Py_CLEAR(frame->frame_obj);
        Py_CLEAR(frame->f_locals);
        while (frame->stackpointer > frame->localsplus) {
            frame->stackpointer--;
            PyStackRef_XCLOSE(*frame->stackpointer);
        }
        PyStackRef_CLEAR(frame->f_funcobj);
        PyStackRef_CLEAR(frame->f_executable);
    }
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
