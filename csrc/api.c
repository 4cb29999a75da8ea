/* See api.h: Python objects around coro.h. What is policy (whom to go on with, which exception)
   is asked of Python by way of the three hooks. */
#include <Python.h>

#include "api.h"
#include "coro.h"
#include "guard.h"

#include <stdio.h>

static PyObject *finish_hook, *refuse_hook, *called_hook, *nothing; /* set at import; GIL */

static uintptr_t refuse(int code)
{
    PyObject *none = PyObject_CallFunction(refuse_hook, "i", code);
    if (none) {
        Py_DECREF(none);
        PyErr_SetString(PyExc_SystemError, "pycoro: a refusal raised no exception");
    }
    return 0;
}

static uintptr_t new_reference(void *object)
{
    return (uintptr_t)Py_NewRef(object ? (PyObject *)object : Py_None);
}

/* The calling thread's, if it has begun under this very thread state. */
static struct pc_thread *here(void)
{
    struct pc_thread *thread = pc_thread_here;
    return thread && thread->owner == pc_py_thread() ? thread : NULL;
}

static struct pc_coro *of_handle(intptr_t handle)
{
    return (struct pc_coro *)handle;
}

/* ---- delivery ---- */

static PyObject *take_from(PyObject *box)
{
    if (PyList_GET_SIZE(box) < 1)
        return Py_NewRef(Py_None);
    PyObject *value = PyList_GET_ITEM(box, 0);
    PyList_SET_ITEM(box, 0, Py_NewRef(Py_None));
    if (value == nothing)
        Py_SETREF(value, PyTuple_New(0)); /* never fails: there is only the one */
    return value;
}

/* Takes over a reference to an exception instance, and raises it as it is. */
static void raise_instance(PyObject *error)
{
    if (!PyExceptionInstance_Check(error)) {
        PyErr_Format(PyExc_TypeError, "exceptions must be instances of BaseException, not %.100s",
                     Py_TYPE(error)->tp_name);
        Py_DECREF(error);
        return;
    }
    PyErr_Restore(Py_NewRef(PyExceptionInstance_Class(error)), error,
                  PyException_GetTraceback(error));
}

static PyObject *fetch_instance(void)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback)
        PyException_SetTraceback(value, traceback);
    Py_XDECREF(traceback);
    Py_DECREF(type);
    return value;
}

static PyObject *receive(struct pc_thread *thread)
{
    PyObject *value = thread->carried;
    thread->carried = NULL;
    if (!thread->carried_throw)
        return value;
    raise_instance(value);
    return NULL;
}

static uintptr_t deliver(intptr_t handle, int throwing)
{
    struct pc_coro *to = of_handle(handle);
    struct pc_thread *thread = to ? to->thread : NULL;
    if (!thread || !pc_coro_is_open(to, pc_py_thread()))
        return refuse(thread && thread->owner && thread->owner != pc_py_thread()
                          ? PC_REFUSED_OTHER_THREAD
                          : PC_REFUSED_DEAD);
    PyObject *value = take_from(thread->box);
    if (thread->calls) {
        thread->calls = 0;
        PyObject *none = PyObject_CallNoArgs(called_hook);
        if (!none)
            PyErr_WriteUnraisable(called_hook);
        Py_XDECREF(none);
        if (!pc_coro_is_open(to, pc_py_thread())) { /* the hook may have ended it */
            Py_DECREF(value);
            return refuse(PC_REFUSED_DEAD);
        }
    }
    thread->carried = value;
    thread->carried_throw = throwing;
    pc_coro_switch(thread, to);
    return (uintptr_t)receive(thread);
}

uintptr_t pc_switch(intptr_t to)
{
    return deliver(to, 0);
}

uintptr_t pc_throw(intptr_t to)
{
    return deliver(to, 1);
}

/* ---- the life of a coroutine ---- */

/* Asks Python who gets the value, which is taken over; `value` becomes what to deliver. */
static struct pc_coro *ask_for_heir(struct pc_coro *me, PyObject **value, int *failed)
{
    PyObject *object = Py_NewRef(me->object ? (PyObject *)me->object : Py_None);
    PyObject *arguments[] = {object, *value, *failed ? Py_True : Py_False};
    PyObject *answer = PyObject_Vectorcall(finish_hook, arguments, 3, NULL);
    Py_DECREF(object);
    Py_DECREF(*value);
    intptr_t handle = answer ? (intptr_t)PyLong_AsSsize_t(answer) : -1;
    Py_XDECREF(answer);
    if (PyErr_Occurred()) { /* a signal's exception, say: it is as good as the coroutine's own */
        *value = fetch_instance();
        *failed = 1;
        return NULL;
    }
    *value = take_from(me->thread->box);
    *failed = handle < 0;
    return of_handle(handle < 0 ? -handle : handle);
}

static struct pc_coro *body(struct pc_coro *me)
{
    struct pc_thread *thread = me->thread;
    PyObject *run = me->run, *result = NULL, *arguments = receive(thread);
    if (arguments && PyTuple_Check(arguments))
        result = PyObject_CallObject(run, arguments);
    else if (arguments)
        PyErr_SetString(PyExc_SystemError, "pycoro: a coroutine began without a tuple");
    Py_XDECREF(arguments);
    int failed = !result;
    PyObject *value = failed ? fetch_instance() : result;
    me->run = NULL;
    Py_DECREF(run);
    struct pc_coro *heir;
    int tries = 0;
    do {
        /* Letting go of a context may run code that ends the heir: then ask again. */
        pc_py_release(thread->owner);
        heir = ask_for_heir(me, &value, &failed);
        pc_py_release(thread->owner);
        if (++tries > 10)
            heir = &thread->main;
    } while (!heir || heir == me || !pc_coro_is_open(heir, thread->owner));
    PyObject *label = me->label;
    me->label = me->object = NULL;
    Py_XDECREF(label);
    thread->carried = value;
    thread->carried_throw = failed;
    return heir;
}

static int reason_of(enum pc_stack_error error)
{
    switch (error) {
    case PC_STACK_NO_MAPPINGS:
        return PC_REFUSED_NO_MAPPINGS;
    case PC_STACK_BAD_SIZE:
        return PC_REFUSED_SIZE;
    default:
        return PC_REFUSED_NO_MEMORY;
    }
}

intptr_t pc_prepare(uintptr_t box, uintptr_t object, uintptr_t run, uintptr_t label,
                    uintptr_t context, intptr_t stack_size)
{
    struct pc_thread *thread = here();
    if (!thread || thread->box != (void *)box) {
        refuse(PC_REFUSED_OTHER_THREAD);
        return 0;
    }
    enum pc_stack_error error;
    struct pc_coro *coro = pc_coro_create(thread, (size_t)stack_size, body, &error);
    if (!coro) {
        refuse(reason_of(error));
        return 0;
    }
    coro->object = (void *)object;
    coro->run = Py_NewRef((PyObject *)run);
    coro->label = Py_NewRef((PyObject *)label);
    if ((PyObject *)context != Py_None)
        pc_py_set_context(&coro->py, Py_NewRef((PyObject *)context));
    return (intptr_t)coro;
}

void pc_adopt(intptr_t coroutine, uintptr_t object)
{
    of_handle(coroutine)->object = (PyObject *)object == Py_None ? NULL : (void *)object;
}

void pc_abandon(intptr_t coroutine)
{
    struct pc_coro *coro = of_handle(coroutine);
    if (coro->state == PC_CORO_SUSPENDED && coro->stack)
        pc_coro_abandon(coro);
}

/* ---- threads ---- */

static void name_of(const struct pc_coro *coro, char *text, size_t size)
{
    /* Reads only: no call here may allocate. */
    PyObject *label = coro->label;
    size_t at = 0;
    if (!label || !PyUnicode_Check(label) || PyUnicode_GET_LENGTH(label) == 0)
        return;
    text[at++] = '\'';
    for (Py_ssize_t i = 0; i < PyUnicode_GET_LENGTH(label) && at + 2 < size; i++) {
        Py_UCS4 letter = PyUnicode_READ_CHAR(label, i);
        text[at++] = letter >= ' ' && letter < 127 ? (char)letter : '?';
    }
    text[at++] = '\'';
    text[at] = 0;
}

int pc_init(uintptr_t finish, uintptr_t refusing, uintptr_t called, uintptr_t none)
{
    Py_XSETREF(nothing, Py_NewRef((PyObject *)none));
    Py_XSETREF(finish_hook, Py_NewRef((PyObject *)finish));
    Py_XSETREF(refuse_hook, Py_NewRef((PyObject *)refusing));
    Py_XSETREF(called_hook, Py_NewRef((PyObject *)called));
    return pc_guard_install(name_of);
}

intptr_t pc_thread_begin(uintptr_t main, uintptr_t box)
{
    if (!PyList_CheckExact((PyObject *)box) || PyList_GET_SIZE((PyObject *)box) < 1) {
        PyErr_SetString(PyExc_TypeError, "pycoro: the box must be a list with an item");
        return 0;
    }
    /* An older one of this thread belonged to a thread state that is gone. */
    if (pc_thread_here)
        pc_thread_here->owner = NULL;
    struct pc_thread *thread = pc_thread_enter(pc_py_thread());
    if (!thread || pc_guard_install(name_of) != 0) {
        refuse(PC_REFUSED_NO_MEMORY);
        return 0;
    }
    thread->box = Py_NewRef((PyObject *)box);
    thread->main.object = (void *)main;
    return (intptr_t)&thread->main;
}

void pc_thread_end(intptr_t main)
{
    struct pc_thread *thread = of_handle(main)->thread;
    PyObject *box = thread->box;
    pc_thread_leave(thread);
    Py_DECREF(box);
}

void pc_thread_call(intptr_t main)
{
    of_handle(main)->thread->calls = 1;
}

uintptr_t pc_thread_remaining(void)
{
    struct pc_thread *thread = here();
    if (!thread)
        return new_reference(NULL);
    struct pc_coro *coro = thread->main.next;
    while (coro != &thread->main && (coro->state != PC_CORO_SUSPENDED || !coro->object))
        coro = coro->next;
    return new_reference(coro == &thread->main ? NULL : coro->object);
}

uintptr_t pc_current(void)
{
    struct pc_thread *thread = here();
    return new_reference(thread ? thread->current->object : NULL);
}

/* ---- looking at one ---- */

int pc_is_running(intptr_t coroutine)
{
    return of_handle(coroutine)->state == PC_CORO_RUNNING;
}

int pc_is_suspended(intptr_t coroutine)
{
    return of_handle(coroutine)->state == PC_CORO_SUSPENDED;
}

uintptr_t pc_frame(intptr_t coroutine)
{
    struct pc_coro *coro = of_handle(coroutine);
    if (coro->state != PC_CORO_SUSPENDED)
        return new_reference(NULL);
    void *frame = pc_py_frame(&coro->py, pc_py_thread());
    if (!frame && PyErr_Occurred())
        return 0;
    return frame ? (uintptr_t)frame : new_reference(NULL);
}

uintptr_t pc_context(intptr_t coroutine)
{
    struct pc_coro *coro = of_handle(coroutine);
    if (coro->state == PC_CORO_RUNNING)
        pc_py_save(&coro->py, coro->thread->owner);
    void *context = pc_py_context(&coro->py);
    return context ? (uintptr_t)context : new_reference(NULL);
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
    if (!context && PyErr_Occurred())
        return 0;
    return context ? (uintptr_t)context : new_reference(NULL);
}

/* ---- sizes and counts ---- */

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

static struct pc_stack_stats stats(void)
{
    struct pc_stack_stats stats;
    pc_stack_stats(&stats);
    return stats;
}

intptr_t pc_count_stacks(void)
{
    return (intptr_t)stats().stacks;
}

intptr_t pc_count_in_use(void)
{
    return (intptr_t)stats().in_use;
}

intptr_t pc_count_warm(void)
{
    return (intptr_t)stats().warm;
}

intptr_t pc_count_trimmed(void)
{
    return (intptr_t)stats().trimmed;
}

intptr_t pc_count_bytes(void)
{
    return (intptr_t)stats().mapped_bytes;
}
