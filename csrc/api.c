/* See api.h: Python objects around coro.h. What is policy (whom to go on with, which exception)
   is asked of Python by way of the three hooks. */
#include <Python.h>

#include "api.h"
#include "coro.h"
#include "guard.h"
#include "object.h"

#include <stdio.h>

/* Set once at import; the GIL guards them. */
static PyObject *finish_hook, *refuse_hook, *called_hook, *empty_tuple;

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

/* Unpacks (handle, value) or a handle; both stay the parcel's. 0, or -1 with an exception. */
static int unpack(PyObject *parcel, intptr_t *handle, PyObject **value)
{
    *value = empty_tuple;
    if (PyTuple_CheckExact(parcel) && PyTuple_GET_SIZE(parcel) == 2) {
        *value = PyTuple_GET_ITEM(parcel, 1);
        parcel = PyTuple_GET_ITEM(parcel, 0);
    }
    *handle = (intptr_t)PyLong_AsSsize_t(parcel);
    return *handle == -1 && PyErr_Occurred() ? -1 : 0;
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

/* May this thread, under this thread state, switch to it? */
static int is_open(const struct pc_coro *coro)
{
    return coro->thread == pc_thread_here && pc_coro_is_open(coro, pc_py_thread());
}

static uintptr_t refuse_closed(const struct pc_coro *coro)
{
    int lives = coro && coro->thread && coro->thread->owner && coro->state != PC_CORO_DEAD;
    return refuse(lives ? PC_REFUSED_OTHER_THREAD : PC_REFUSED_DEAD);
}

static uintptr_t deliver(PyObject *parcel, int throwing)
{
    intptr_t handle;
    PyObject *value;
    if (unpack(parcel, &handle, &value) != 0)
        return 0;
    struct pc_coro *to = of_handle(handle);
    if (!to || !is_open(to))
        return refuse_closed(to);
    struct pc_thread *thread = to->thread;
    if (thread->calls) {
        thread->calls = 0;
        PyObject *none = PyObject_CallNoArgs(called_hook);
        if (!none) { /* Ctrl-C, say, as it might have come before the switch */
            thread->calls = 1;
            return 0;
        }
        Py_DECREF(none);
        if (!is_open(to)) /* the hook may have ended it */
            return refuse_closed(to);
    }
    thread->carried = Py_NewRef(value);
    thread->carried_throw = throwing;
    pc_coro_switch(thread, to);
    return (uintptr_t)receive(thread);
}

uintptr_t pc_switch(uintptr_t parcel)
{
    return deliver((PyObject *)parcel, 0);
}

uintptr_t pc_throw(uintptr_t parcel)
{
    return deliver((PyObject *)parcel, 1);
}

/* ---- the life of a coroutine ---- */

/* Asks Python who gets the value, which is taken over; `value` becomes what to deliver. */
static struct pc_coro *ask_for_heir(struct pc_coro *me, PyObject **value, int *failed)
{
    PyObject *object = Py_NewRef(me->object ? (PyObject *)me->object : Py_None), *answered;
    PyObject *arguments[] = {object, *value, *failed ? Py_True : Py_False};
    PyObject *answer = PyObject_Vectorcall(finish_hook, arguments, 3, NULL);
    Py_DECREF(object);
    Py_DECREF(*value);
    intptr_t handle = 0;
    if (!answer || unpack(answer, &handle, &answered) != 0) {
        Py_XDECREF(answer); /* a signal's exception, say: it is as good as the coroutine's own */
        *value = fetch_instance();
        *failed = 1;
        return NULL;
    }
    *value = Py_NewRef(answered);
    Py_DECREF(answer);
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
    pc_py_release(thread->owner);
    struct pc_coro *heir = me->object && !failed ? pc_object_parent(me->object) : NULL;
    for (int tries = 0; !heir || heir == me || !is_open(heir);) {
        heir = ask_for_heir(me, &value, &failed);
        /* The hook may have made a context, and letting go of that may end the heir. */
        pc_py_release(thread->owner);
        if (++tries > 10)
            heir = &thread->main;
    }
    if (me->object) /* only now: until here it could still be switched away from, and to */
        pc_object_set_handle(me->object, NULL);
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

intptr_t pc_prepare(intptr_t main, uintptr_t object, uintptr_t run, uintptr_t label,
                    uintptr_t context, intptr_t stack_size)
{
    struct pc_thread *thread = here();
    if (!thread || &thread->main != of_handle(main))
        return (intptr_t)refuse(main ? PC_REFUSED_OTHER_THREAD : PC_REFUSED_DEAD);
    enum pc_stack_error error;
    struct pc_coro *coro = pc_coro_create(thread, (size_t)stack_size, body, &error);
    if (!coro)
        return (intptr_t)refuse(reason_of(error));
    if (pc_object_set_handle((void *)object, coro) != 0) {
        pc_coro_discard(coro);
        return 0;
    }
    coro->object = (void *)object;
    coro->run = Py_NewRef((PyObject *)run);
    coro->label = Py_NewRef((PyObject *)label);
    if ((PyObject *)context != Py_None)
        pc_py_set_context(&coro->py, Py_NewRef((PyObject *)context));
    return (intptr_t)coro;
}

void pc_abandon(intptr_t coroutine)
{
    struct pc_coro *coro = of_handle(coroutine);
    if (!coro || coro->state != PC_CORO_SUSPENDED || !coro->stack)
        return;
    if (coro->object)
        pc_object_set_handle(coro->object, NULL);
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

uintptr_t pc_init(uintptr_t type, uintptr_t finish, uintptr_t refusing, uintptr_t called,
                  uintptr_t dropped)
{
    if (finish_hook || PyInterpreterState_Get() != PyInterpreterState_Main()) {
        PyErr_SetString(PyExc_ImportError,
                        "pycoro cannot be imported twice in a process, nor in a subinterpreter");
        return 0;
    }
    if (pc_object_init(type, called, dropped) != 0 || !(empty_tuple = PyTuple_New(0)))
        return 0;
    if (pc_guard_install(name_of) != 0)
        return (uintptr_t)PyErr_SetFromErrno(PyExc_OSError);
    finish_hook = Py_NewRef((PyObject *)finish);
    refuse_hook = Py_NewRef((PyObject *)refusing);
    called_hook = Py_NewRef((PyObject *)called);
    return new_reference(NULL);
}

intptr_t pc_thread_begin(uintptr_t main)
{
    /* An older one of this thread belonged to a thread state that is gone. */
    if (pc_thread_here)
        pc_thread_here->owner = NULL;
    struct pc_thread *thread = pc_thread_enter(pc_py_thread());
    if (!thread || pc_guard_install(name_of) != 0)
        return (intptr_t)refuse(PC_REFUSED_NO_MEMORY);
    thread->main.object = (void *)main;
    if (pc_object_set_handle((void *)main, &thread->main) != 0) {
        pc_thread_leave(thread);
        return 0;
    }
    return (intptr_t)&thread->main;
}

void pc_thread_end(intptr_t main)
{
    struct pc_coro *coro = of_handle(main);
    pc_object_set_handle(coro->object, NULL);
    pc_thread_leave(coro->thread);
}

void pc_thread_call(intptr_t coroutine)
{
    struct pc_thread *thread = coroutine ? of_handle(coroutine)->thread : NULL;
    if (thread)
        thread->calls = 1;
}

static intptr_t find_suspended(int orphan)
{
    struct pc_thread *thread = here();
    if (!thread)
        return 0;
    struct pc_coro *coro = thread->main.next;
    while (coro != &thread->main &&
           (coro->state != PC_CORO_SUSPENDED || (orphan && coro->object)))
        coro = coro->next;
    return coro == &thread->main ? 0 : (intptr_t)coro;
}

intptr_t pc_thread_remaining(void)
{
    return find_suspended(0);
}

intptr_t pc_thread_orphan(void)
{
    return find_suspended(1);
}

uintptr_t pc_current(void)
{
    struct pc_thread *thread = here();
    return new_reference(thread ? thread->current->object : NULL);
}

uintptr_t pc_enlist(uintptr_t object)
{
    return pc_object_check_fresh((void *)object) == 0 ? pc_current() : 0;
}
