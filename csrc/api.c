/* Switching, for Python: parcels, and the life of a coroutine from start to end. See api.h; threads
   are in api_threads.c. A result goes to a living parent at once. What else is policy (whom to go
   on with, which exception) is asked of Python by way of the hooks. */
#include <Python.h>

#include "api.h"
#include "api_internal.h"
#include "object.h"

/* Set once at import; the GIL guards them. */
static PyObject *finish_hook, *refuse_hook, *called_hook, *empty_tuple;
static size_t default_stack_size;

int pc_api_init(PyObject *finish, PyObject *refuse, PyObject *called)
{
    if (!(empty_tuple = PyTuple_New(0)))
        return -1;
    finish_hook = Py_NewRef(finish);
    refuse_hook = Py_NewRef(refuse);
    called_hook = Py_NewRef(called);
    default_stack_size = PC_PY_STACK_SIZE;
    return 0;
}

void pc_api_refuse(int code)
{
    PyObject *none = PyObject_CallFunction(refuse_hook, "i", code);
    if (none) {
        Py_DECREF(none);
        PyErr_SetString(PyExc_SystemError, "pycoro: a refusal raised no exception");
    }
}

struct pc_thread *pc_api_here(void)
{
    struct pc_thread *thread = pc_thread_here;
    return thread && thread->owner == pc_py_thread() ? thread : NULL;
}

intptr_t pc_stack_size_default(void)
{
    return (intptr_t)default_stack_size;
}

void pc_stack_set_default(intptr_t size)
{
    default_stack_size = (size_t)size;
}

void pc_api_raise(PyObject *error)
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

PyObject *pc_api_fetch(void)
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

/* ---- start ---- */

void pc_api_refuse_stack(enum pc_stack_error error)
{
    pc_api_refuse(error == PC_STACK_NO_MAPPINGS ? PC_REFUSED_NO_MAPPINGS
                  : error == PC_STACK_BAD_SIZE  ? PC_REFUSED_SIZE
                                                : PC_REFUSED_NO_MEMORY);
}

static struct pc_coro *body(struct pc_coro *me);

/* The name of what it runs, where it has none of its own: a new reference. */
static PyObject *find_name(PyObject *object, PyObject *run)
{
    PyObject *name = pc_object_get(object, PC_NAME);
    if (name != Py_None)
        return Py_NewRef(name);
    name = PyObject_GetAttrString(run, "__qualname__");
    if (!name && PyErr_ExceptionMatches(PyExc_AttributeError)) {
        PyErr_Clear(); /* functools.partial, an object with __call__ */
        name = PyObject_GetAttrString((PyObject *)Py_TYPE(run), "__qualname__");
    }
    return name;
}

/* Gives it a stack. NULL with an exception, and nothing changed. */
static struct pc_coro *prepare(PyObject *object)
{
    struct pc_thread *thread = pc_api_here();
    PyObject *run = pc_object_get(object, PC_RUN), *label;
    if (run == Py_None) {
        pc_api_refuse(PC_REFUSED_DEAD);
        return NULL;
    }
    if (!thread || pc_object_get(object, PC_THREAD) !=
                       pc_object_get(thread->main.object, PC_THREAD)) {
        pc_api_refuse(PC_REFUSED_OTHER_THREAD);
        return NULL;
    }
    size_t size = default_stack_size;
    PyObject *bytes = pc_object_get(object, PC_STACK_BYTES);
    if (bytes != Py_None && (size = PyLong_AsSize_t(bytes)) == (size_t)-1 && PyErr_Occurred())
        return NULL;
    Py_INCREF(run);
    if (!(label = find_name(object, run)))
        goto no_name;
    /* Asking for the name may have run code, and that may have started it. */
    struct pc_coro *coro = pc_object_coro(object);
    if (coro || pc_object_get(object, PC_RUN) != run) {
        Py_DECREF(label);
        Py_DECREF(run);
        if (!coro)
            pc_api_refuse(PC_REFUSED_DEAD);
        return coro;
    }
    enum pc_stack_error error;
    if (!(coro = pc_coro_create(thread, size, body, &error))) {
        pc_api_refuse_stack(error);
        goto no_stack;
    }
    pc_object_bind(object, coro);
    coro->run = run;
    coro->label = label;
    PyObject *context = pc_object_get(object, PC_CONTEXT);
    if (context != Py_None)
        pc_py_set_context(&coro->py, Py_NewRef(context));
    /* The coroutine has references to all of these: no setting runs code. */
    pc_object_set(object, PC_NAME, Py_NewRef(label));
    pc_object_set(object, PC_CONTEXT, Py_NewRef(Py_None));
    pc_object_set(object, PC_RUN, Py_NewRef(Py_None));
    return coro;

no_stack:
    Py_DECREF(label);
no_name:
    Py_DECREF(run);
    return NULL;
}

uintptr_t pc_prepare(uintptr_t object)
{
    PyObject *coroutine = (PyObject *)object;
    if (pc_object_check(coroutine) != 0 ||
        (!pc_object_coro(coroutine) && !prepare(coroutine)))
        return 0;
    return (uintptr_t)Py_NewRef(Py_None);
}

/* ---- delivery ---- */

enum delivery { VALUE, VALUES, THROW };

static PyObject *receive(struct pc_thread *thread)
{
    PyObject *value = thread->carried, *leftover = thread->leftover;
    int throwing = thread->carried_throw;
    thread->carried = thread->leftover = NULL;
    thread->tracing = 0; /* of a greenlet, and not ours */
    Py_XDECREF(leftover); /* may run any code, and other switches */
    if (!throwing)
        return value;
    pc_api_raise(value);
    return NULL;
}

/* The coroutine to go on in, given a stack if need be; NULL with an exception. */
static struct pc_coro *open_up(PyObject *object)
{
    struct pc_coro *coro = pc_object_coro(object);
    if (!coro)
        return prepare(object);
    if (coro->thread == pc_thread_here && pc_coro_is_open(coro, pc_py_thread()))
        return coro;
    pc_api_refuse(coro->thread && coro->state != PC_CORO_DEAD ? PC_REFUSED_OTHER_THREAD
                                                              : PC_REFUSED_DEAD);
    return NULL;
}

/* What is to arrive in one that begins or goes on, a new reference; `value` NULL: none. */
static PyObject *wrap(int begins, PyObject *value, enum delivery how)
{
    if (!value)
        value = empty_tuple;
    else if (how == VALUE && begins)
        return PyTuple_Pack(1, value);
    else if (how == VALUES && !begins && PyTuple_GET_SIZE(value) == 1)
        value = PyTuple_GET_ITEM(value, 0);
    return Py_NewRef(value);
}

static int begins(const struct pc_coro *coro)
{
    return !coro || coro->run;
}

/* Whom to go on with, and what is to arrive there. NULL with an exception. */
static struct pc_coro *address(PyObject *object, PyObject *value, enum delivery how,
                               PyObject **carried)
{
    /* Wrapping may run the collector, on 3.11, and that may start or end the coroutine; opening
       up may run code only where it gives a stack. So wrap first, and look again. */
    for (;;) {
        int expected = begins(pc_object_coro(object));
        if (!(*carried = wrap(expected, value, how)))
            return NULL;
        struct pc_coro *to = open_up(object);
        if (to && begins(to) == expected)
            return to;
        Py_CLEAR(*carried);
        if (!to)
            return NULL;
    }
}

int pc_api_answer_call(struct pc_thread *thread)
{
    thread->calls = 0;
    PyObject *none = PyObject_CallNoArgs(called_hook);
    if (!none) { /* Ctrl-C, say, as it might have come before the switch */
        thread->calls = 1;
        return -1;
    }
    Py_DECREF(none);
    return 0;
}

static uintptr_t deliver(PyObject *parcel, enum delivery how)
{
    PyObject *object = parcel, *value = NULL;
    if (PyTuple_CheckExact(parcel) && PyTuple_GET_SIZE(parcel) == 2) {
        object = PyTuple_GET_ITEM(parcel, 0);
        value = PyTuple_GET_ITEM(parcel, 1);
    }
    if (pc_object_check(object) != 0)
        return 0;
    if (how != VALUE && (!value || (how == VALUES && !PyTuple_CheckExact(value)))) {
        PyErr_SetString(PyExc_TypeError, "pycoro: (coroutine, values) is needed");
        return 0;
    }
    if (pc_thread_here && pc_thread_here->calls && pc_api_here() && pc_api_answer_call(pc_thread_here))
        return 0;
    PyObject *carried;
    struct pc_coro *to = address(object, value, how, &carried);
    if (!to)
        return 0;
    struct pc_thread *thread = to->thread;
    thread->carried = carried;
    thread->carried_throw = how == THROW;
    pc_coro_switch(thread, to);
    return (uintptr_t)receive(thread);
}

uintptr_t pc_switch(uintptr_t parcel)
{
    return deliver((PyObject *)parcel, VALUE);
}

uintptr_t pc_switch_values(uintptr_t parcel)
{
    return deliver((PyObject *)parcel, VALUES);
}

uintptr_t pc_throw(uintptr_t parcel)
{
    return deliver((PyObject *)parcel, THROW);
}

/* ---- the end ---- */

/* Asks Python who gets the value, which is taken over; `value` becomes what is to arrive there.
   NULL: nobody yet, for there was an exception, which is the value now. */
static struct pc_coro *ask_for_heir(struct pc_coro *me, PyObject **value, int *failed)
{
    struct pc_coro *heir = NULL;
    PyObject *object = Py_NewRef(me->object ? (PyObject *)me->object : Py_None);
    PyObject *arguments[] = {object, *value, *failed ? Py_True : Py_False};
    PyObject *answer = PyObject_Vectorcall(finish_hook, arguments, 3, NULL);
    PyObject *target, *result, *carried;
    Py_DECREF(object);
    Py_DECREF(*value);
    if (answer && PyArg_ParseTuple(answer, "OOp", &target, &result, failed) &&
        pc_object_check(target) == 0 &&
        (heir = address(target, result, *failed ? THROW : VALUE, &carried)))
        *value = carried;
    Py_XDECREF(answer);
    if (!heir) { /* a signal's exception, say: it is as good as the coroutine's own */
        *value = pc_api_fetch();
        *failed = 1;
    }
    return heir;
}

/* The parent, where it is alive and waits for a result; then there is nothing to ask. */
static struct pc_coro *living_parent(const struct pc_coro *me)
{
    PyObject *parent = me->object ? pc_object_get(me->object, PC_PARENT) : Py_None;
    struct pc_coro *coro = parent != Py_None ? pc_object_coro(parent) : NULL;
    return coro && !coro->run && coro->thread == me->thread ? coro : NULL;
}

static struct pc_coro *body(struct pc_coro *me)
{
    struct pc_thread *thread = me->thread;
    PyObject *run = me->run, *result = NULL;
    me->run = NULL; /* it has begun: what is delivered from now on is no arguments */
    PyObject *arguments = receive(thread);
    if (arguments)
        result = PyObject_CallObject(run, arguments);
    Py_XDECREF(arguments);
    int failed = !result;
    PyObject *value = failed ? pc_api_fetch() : result;
    PyObject *label = me->label;
    me->label = NULL;
    Py_DECREF(label); /* it may be of a subclass of str, with a __del__ */
    Py_DECREF(run);
    pc_py_release(thread->owner);
    struct pc_coro *heir = failed ? NULL : living_parent(me);
    for (int tries = 0; !heir || heir == me || !pc_coro_is_open(heir, thread->owner);) {
        heir = ask_for_heir(me, &value, &failed);
        /* The hook may have made a context, and letting go of that may end the heir. */
        pc_py_release(thread->owner);
        if (++tries > 10)
            heir = &thread->main;
    }
    /* Only now: until here it could still be switched away from, and to. From here on no code may
       run, for there is no object for it to be the current one. */
    pc_object_unbind_all(me);
    thread->leftover = me->kept;
    me->kept = NULL;
    thread->carried = value;
    thread->carried_throw = failed;
    return heir;
}
