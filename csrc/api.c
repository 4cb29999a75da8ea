/* Switching, for Python: parcels, and what a coroutine does from its first switch to its end. See
   api.h; api_start.c gives one its stack. A result goes to a living parent at once. What else is
   policy (whom to go on with, which exception) is asked of Python by way of the hooks. */
#include <Python.h>

#include "api.h"
#include "api_internal.h"
#include "object.h"

/* Set once at import; the GIL guards them. */
static PyObject *finish_hook, *refuse_hook, *called_hook, *empty_tuple;

int pc_api_init(PyObject *finish, PyObject *refuse, PyObject *called)
{
    if (!(empty_tuple = PyTuple_New(0)))
        return -1;
    finish_hook = Py_NewRef(finish);
    refuse_hook = Py_NewRef(refuse);
    called_hook = Py_NewRef(called);
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
    if (!value || (PyObject *)Py_TYPE(value) != type) /* else it would ask __subclasscheck__() */
        PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback)
        PyException_SetTraceback(value, traceback);
    Py_XDECREF(traceback);
    Py_DECREF(type);
    return value;
}

/* ---- delivery ---- */

static struct pc_coro *body(struct pc_coro *me);

static PyObject *receive_rest(struct pc_thread *thread, PyObject *value)
{
    PyObject *leftover = thread->leftover;
    int throwing = thread->carried_throw;
    thread->leftover = NULL;
    thread->tracing = 0; /* a greenlet's, and this is none */
    if (pc_py_is_behind)
        pc_py_catch_up(thread->owner);
    Py_XDECREF(leftover); /* may run any code, and other switches */
    if (!throwing)
        return value;
    pc_api_raise(value);
    return NULL;
}

static inline PyObject *receive(struct pc_thread *thread)
{
    PyObject *value = thread->carried;
    thread->carried = NULL;
    return thread->leftover || thread->carried_throw || pc_py_is_behind
               ? receive_rest(thread, value)
               : value;
}

/* Goes on in `to`, where `carried`, which is taken over, arrives: gives what comes back. */
static inline uintptr_t hand_over(struct pc_coro *to, PyObject *carried, int throwing)
{
    struct pc_thread *thread = to->thread;
    thread->carried = carried;
    thread->carried_throw = throwing;
    pc_coro_switch(thread, to);
    return (uintptr_t)receive(thread);
}

/* What is to be delivered: `value`, NULL for none, and `more`, a tuple of further ones; or an
   exception. All are borrowed. */
struct parcel {
    PyObject *object, *value, *more;
    int throwing;
};

/* Starts it by a switch of the running one. Each has as many calls as another; but if each started
   the next without end, memory would be all that ends it. */
static struct pc_coro *start_nested(PyObject *object)
{
    const struct pc_thread *here = pc_api_here();
    int nesting = here ? here->current->nesting + 1 : 1;
    if (nesting > Py_GetRecursionLimit()) {
        pc_api_refuse(PC_REFUSED_NESTED);
        return NULL;
    }
    struct pc_coro *coro = pc_api_start(object, body);
    if (coro && coro->run)
        coro->nesting = nesting;
    return coro;
}

/* The coroutine to go on in, given a stack if need be; NULL with an exception. */
static struct pc_coro *open_up(PyObject *object)
{
    struct pc_coro *coro = pc_object_coro(object);
    if (!coro)
        return start_nested(object);
    if (coro->thread == pc_thread_here && pc_coro_is_open(coro, pc_py_thread()))
        return coro;
    pc_api_refuse(coro->thread && coro->state != PC_CORO_DEAD ? PC_REFUSED_OTHER_THREAD
                                                              : PC_REFUSED_DEAD);
    return NULL;
}

uintptr_t pc_prepare(uintptr_t object)
{
    PyObject *coroutine = (PyObject *)object;
    if (pc_object_check(coroutine) != 0 ||
        (!pc_object_coro(coroutine) && !pc_api_start(coroutine, body)))
        return 0;
    return (uintptr_t)Py_NewRef(Py_None);
}

uintptr_t pc_count_anew(void)
{
    struct pc_thread *here = pc_api_here();
    if (here)
        here->current->nesting = 0;
    return (uintptr_t)Py_NewRef(Py_None);
}

/* What is to arrive in one that begins or goes on: a new reference. */
static PyObject *wrap(int begins, const struct parcel *parcel)
{
    if (!parcel->value)
        return Py_NewRef(empty_tuple);
    Py_ssize_t more = PyTuple_GET_SIZE(parcel->more);
    if (parcel->throwing || (!begins && !more))
        return Py_NewRef(parcel->value);
    PyObject *all = PyTuple_New(1 + more);
    if (!all)
        return NULL;
    PyTuple_SET_ITEM(all, 0, Py_NewRef(parcel->value));
    for (Py_ssize_t i = 0; i < more; i++)
        PyTuple_SET_ITEM(all, 1 + i, Py_NewRef(PyTuple_GET_ITEM(parcel->more, i)));
    return all;
}

static int begins(const struct pc_coro *coro)
{
    return !coro || coro->run;
}

/* Whom to go on with, and what is to arrive there. NULL with an exception. */
static struct pc_coro *address(const struct parcel *parcel, PyObject **carried)
{
    /* Wrapping may run the collector, on 3.11, and that may start or end the coroutine; opening
       up may run code only where it gives a stack. So wrap first, and look again. */
    for (;;) {
        int expected = begins(pc_object_coro(parcel->object));
        if (!(*carried = wrap(expected, parcel)))
            return NULL;
        struct pc_coro *to = open_up(parcel->object);
        if (to && begins(to) == expected)
            return to;
        Py_CLEAR(*carried);
        if (!to)
            return NULL;
    }
}

/* Asks Python who goes on after `object` (NULL: it is gone), and with what: in *parcel, borrowed
   from the new reference that this gives. NULL with an exception. */
static PyObject *ask(PyObject *object, PyObject *value, int failed, struct parcel *parcel)
{
    PyObject *arguments[] = {Py_NewRef(object ? object : Py_None), value,
                             failed ? Py_True : Py_False};
    PyObject *answer = PyObject_Vectorcall(finish_hook, arguments, 3, NULL);
    Py_DECREF(arguments[0]);
    *parcel = (struct parcel){.more = empty_tuple};
    if (answer && PyArg_ParseTuple(answer, "OOp", &parcel->object, &parcel->value,
                                   &parcel->throwing) &&
        pc_object_check(parcel->object) == 0)
        return answer;
    Py_XDECREF(answer);
    return NULL;
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

static uintptr_t deliver(PyObject *object, PyObject *value, PyObject *more, int throwing)
{
    if (pc_object_check(object) != 0)
        return 0;
    if (pc_thread_here && pc_thread_here->calls && pc_api_here() &&
        pc_api_answer_call(pc_thread_here))
        return 0;
    struct parcel parcel = {object, value, more, throwing}, other;
    PyObject *answer = NULL, *carried;
    if (!throwing && pc_object_coro(object) && pc_object_waits(object)) {
        pc_api_refuse(PC_REFUSED_WAITING);
        parcel.value = answer = pc_api_fetch();
        parcel.throwing = 1;
    } else if (!throwing && pc_object_has_ended(object)) {
        if (!(answer = ask(object, Py_None, 0, &other)))
            return 0;
        parcel.object = other.object;
    }
    struct pc_coro *to = address(&parcel, &carried);
    if (parcel.throwing != throwing)
        Py_CLEAR(answer); /* the error is the receiver's now, however long we are away */
    if (to && !parcel.throwing) /* it may be the parent of one that has ended */
        carried = pc_object_tell_apart(to, carried);
    uintptr_t result = to ? hand_over(to, carried, parcel.throwing) : 0;
    Py_XDECREF(answer);
    return result;
}

/* The coroutine of the object, where all there is to do is to go on in it; else NULL. */
static inline struct pc_coro *at_hand(PyObject *object)
{
    struct pc_thread *here = pc_thread_here;
    if (!here || here->calls || !pc_object_is_coroutine(object))
        return NULL;
    struct pc_coro *coro = pc_object_coro(object);
    if (!coro || coro->run || coro->thread != here || coro->state != PC_CORO_SUSPENDED ||
        here->owner != pc_py_thread() || pc_object_waits(object))
        return NULL;
    return coro;
}

uintptr_t pc_switch(uintptr_t parcel)
{
    PyObject *object = (PyObject *)parcel, *value = NULL, *more = empty_tuple;
    if (PyTuple_CheckExact(object)) {
        PyObject *tuple = object;
        if (PyTuple_GET_SIZE(tuple) != 3 || !PyTuple_CheckExact(PyTuple_GET_ITEM(tuple, 2))) {
            PyErr_SetString(PyExc_TypeError, "pycoro: (coroutine, value, more) is needed");
            return 0;
        }
        object = PyTuple_GET_ITEM(tuple, 0);
        value = PyTuple_GET_ITEM(tuple, 1);
        more = PyTuple_GET_ITEM(tuple, 2);
    }
    struct pc_coro *to = at_hand(object);
    if (to && more == empty_tuple) /* there is but one empty tuple */
        return hand_over(to, Py_NewRef(value ? value : empty_tuple), 0);
    return deliver(object, value, more, 0);
}

uintptr_t pc_throw(uintptr_t parcel)
{
    PyObject *pair = (PyObject *)parcel;
    if (!PyTuple_CheckExact(pair) || PyTuple_GET_SIZE(pair) != 2) {
        PyErr_SetString(PyExc_TypeError, "pycoro: (coroutine, exception) is needed");
        return 0;
    }
    return deliver(PyTuple_GET_ITEM(pair, 0), PyTuple_GET_ITEM(pair, 1), empty_tuple, 1);
}

/* ---- the end ---- */

/* Asks Python who gets the value, which is taken over; `value` becomes what is to arrive there.
   NULL: nobody yet, for there was an exception, which is the value now. */
static struct pc_coro *ask_for_heir(struct pc_coro *me, PyObject **value, int *failed)
{
    struct parcel parcel;
    struct pc_coro *heir = NULL;
    PyObject *answer = ask(me->object, *value, *failed, &parcel), *carried;
    Py_DECREF(*value);
    if (answer && (heir = address(&parcel, &carried)))
        *value = carried;
    *failed = parcel.throwing;
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
    me->nesting--; /* whom it starts now takes its place */
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
    thread->carried = failed ? value : pc_object_tell_apart(heir, value);
    thread->carried_throw = failed;
    return heir;
}
