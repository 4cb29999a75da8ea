/* Looking at coroutines and stacks from Python: nothing here switches. See api.h. */
#include <Python.h>

#include "api.h"
#include "coro.h"

static struct pc_coro *of_handle(intptr_t handle)
{
    return (struct pc_coro *)handle;
}

static uintptr_t or_none(void *new_reference)
{
    return (uintptr_t)(new_reference ? new_reference : Py_NewRef(Py_None));
}

uintptr_t pc_object(intptr_t coroutine)
{
    return or_none(Py_XNewRef((PyObject *)of_handle(coroutine)->object));
}

int pc_is_running(intptr_t coroutine)
{
    return coroutine && of_handle(coroutine)->state == PC_CORO_RUNNING;
}

int pc_is_suspended(intptr_t coroutine)
{
    return coroutine && of_handle(coroutine)->state == PC_CORO_SUSPENDED;
}

uintptr_t pc_frame(intptr_t coroutine)
{
    struct pc_coro *coro = of_handle(coroutine);
    if (coro->state != PC_CORO_SUSPENDED)
        return or_none(NULL);
    void *frame = pc_py_frame(&coro->py, pc_py_thread());
    return !frame && PyErr_Occurred() ? 0 : or_none(frame);
}

uintptr_t pc_context(intptr_t coroutine)
{
    struct pc_coro *coro = of_handle(coroutine);
    if (coro->state == PC_CORO_RUNNING)
        pc_py_save(&coro->py, coro->thread->owner);
    return or_none(pc_py_context(&coro->py));
}

int pc_set_context(intptr_t coroutine, uintptr_t context)
{
    struct pc_coro *coro = of_handle(coroutine);
    int running = coro->state == PC_CORO_RUNNING;
    PyObject *fresh = (PyObject *)context == Py_None ? NULL : Py_NewRef((PyObject *)context);
    if (running)
        pc_py_save(&coro->py, coro->thread->owner);
    PyObject *former = pc_py_set_context(&coro->py, fresh);
    if (running)
        pc_py_restore(&coro->py, coro->thread->owner);
    Py_XDECREF(former);
    return 0;
}

uintptr_t pc_copy_context(void)
{
    void *context = pc_py_copy_context(pc_py_thread());
    return !context && PyErr_Occurred() ? 0 : or_none(context);
}

intptr_t pc_stack_least(void)
{
    return (intptr_t)PC_STACK_MIN;
}

intptr_t pc_stack_most(void)
{
    return (intptr_t)PC_STACK_MAX;
}

intptr_t pc_stack_default(void)
{
    return (intptr_t)PC_PY_STACK_SIZE;
}

intptr_t pc_stack_size_of(intptr_t coroutine)
{
    struct pc_stack *stack = of_handle(coroutine)->stack;
    return stack ? (intptr_t)pc_stack_size(stack) : 0;
}

intptr_t pc_stack_depth(intptr_t coroutine)
{
    struct pc_coro *coro = of_handle(coroutine);
    if (coro->state != PC_CORO_SUSPENDED || !coro->stack)
        return -1;
    return coro->stack->border - (char *)coro->context.sp;
}

intptr_t pc_count(int what)
{
    struct pc_stack_stats stats;
    pc_stack_stats(&stats);
    switch (what) {
    case PC_COUNT_STACKS:
        return (intptr_t)stats.stacks;
    case PC_COUNT_IN_USE:
        return (intptr_t)stats.in_use;
    case PC_COUNT_WARM:
        return (intptr_t)stats.warm;
    case PC_COUNT_TRIMMED:
        return (intptr_t)stats.trimmed;
    default:
        return (intptr_t)stats.mapped_bytes;
    }
}
