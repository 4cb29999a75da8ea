/* Looking at coroutines and stacks from Python: nothing here switches. See api.h. */
#include <Python.h>

#include "api.h"
#include "object.h"

static uintptr_t or_none(void *new_reference)
{
    return (uintptr_t)(new_reference ? new_reference : Py_NewRef(Py_None));
}

static uintptr_t truth(int is)
{
    return (uintptr_t)Py_NewRef(is ? Py_True : Py_False);
}

/* NULL for one that is not alive, or, with TypeError, for no coroutine. */
static struct pc_coro *coro_of(uintptr_t object)
{
    return pc_object_check((PyObject *)object) == 0 ? pc_object_coro((PyObject *)object) : NULL;
}

uintptr_t pc_is_running(uintptr_t object)
{
    struct pc_coro *coro = coro_of(object);
    return PyErr_Occurred() ? 0 : truth(coro && coro->state == PC_CORO_RUNNING);
}

uintptr_t pc_is_suspended(uintptr_t object)
{
    struct pc_coro *coro = coro_of(object);
    return PyErr_Occurred() ? 0 : truth(coro && coro->state == PC_CORO_SUSPENDED);
}

uintptr_t pc_frame(uintptr_t object)
{
    struct pc_coro *coro = coro_of(object);
    void *frame = NULL;
    if (coro && coro->state == PC_CORO_SUSPENDED)
        frame = pc_py_frame(&coro->py, pc_py_thread());
    return PyErr_Occurred() ? 0 : or_none(frame);
}

uintptr_t pc_context(uintptr_t object)
{
    struct pc_coro *coro = coro_of(object);
    if (!coro)
        return PyErr_Occurred() ? 0 : or_none(NULL);
    if (coro->state == PC_CORO_RUNNING && coro->thread->owner)
        pc_py_save(&coro->py, coro->thread->owner);
    return or_none(pc_py_context(&coro->py));
}

uintptr_t pc_set_context(uintptr_t parcel)
{
    PyObject *pair = (PyObject *)parcel;
    if (!PyTuple_CheckExact(pair) || PyTuple_GET_SIZE(pair) != 2) {
        PyErr_SetString(PyExc_TypeError, "pycoro: a pair is needed");
        return 0;
    }
    struct pc_coro *coro = coro_of((uintptr_t)PyTuple_GET_ITEM(pair, 0));
    if (!coro)
        return PyErr_Occurred() ? 0 : truth(0);
    PyObject *context = PyTuple_GET_ITEM(pair, 1);
    int running = coro->state == PC_CORO_RUNNING && coro->thread->owner;
    if (running)
        pc_py_save(&coro->py, coro->thread->owner);
    PyObject *former =
        pc_py_set_context(&coro->py, context == Py_None ? NULL : Py_NewRef(context));
    if (running)
        pc_py_restore(&coro->py, coro->thread->owner);
    Py_XDECREF(former);
    return truth(1);
}

uintptr_t pc_copy_context(void)
{
    void *context = pc_py_copy_context(pc_py_thread());
    return !context && PyErr_Occurred() ? 0 : or_none(context);
}

/* The thread whose main coroutine this is; NULL where it has ended, or, with TypeError, for no
   coroutine. */
static struct pc_thread *thread_of(uintptr_t main)
{
    struct pc_coro *coro = coro_of(main);
    return coro && coro->thread && coro == &coro->thread->main ? coro->thread : NULL;
}

uintptr_t pc_thread_running(uintptr_t main)
{
    struct pc_thread *thread = thread_of(main);
    if (PyErr_Occurred())
        return 0;
    return or_none(thread ? Py_XNewRef(pc_object_of(thread->current)) : NULL);
}

static int append(PyObject *list, const struct pc_coro *coro)
{
    PyObject *object = pc_object_of(coro);
    return object ? PyList_Append(list, object) : 0;
}

uintptr_t pc_thread_living(uintptr_t main)
{
    PyObject *list = PyList_New(0); /* first: on 3.11 that may run code */
    struct pc_thread *thread = list ? thread_of(main) : NULL;
    if (!list || PyErr_Occurred())
        goto failed;
    if (!thread)
        return (uintptr_t)list;
    /* A list that grows runs no code, so the ring stays as it is. */
    struct pc_coro *coro = &thread->main;
    if (append(list, thread->current) != 0)
        goto failed;
    do {
        if (coro != thread->current && append(list, coro) != 0)
            goto failed;
        coro = coro->next;
    } while (coro != &thread->main);
    return (uintptr_t)list;

failed:
    Py_XDECREF(list);
    return 0;
}

intptr_t pc_stack_least(void)
{
    return (intptr_t)PC_STACK_MIN;
}

intptr_t pc_stack_most(void)
{
    return (intptr_t)PC_STACK_MAX;
}

intptr_t pc_stack_size_of(uintptr_t object)
{
    struct pc_coro *coro = coro_of(object);
    if (!coro)
        return -1;
    return coro->stack ? (intptr_t)pc_stack_size(coro->stack) : 0;
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
