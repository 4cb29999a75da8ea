/* Switching greenlets: whom a switch leads to, and what arrives there. See greenlet.h; start and end
 * are in greenlet_run.c.
 *
 * Order matters, for programs can hook into it: looking up `run` and allocating may run code, and
 * that may switch, start or end any of the greenlets at hand. So what is to arrive is made first;
 * from the look that finds its receiver alive to the switch, nothing runs.
 */
#include "greenlet.h"

#include "api.h"
#include "api_internal.h"
#include "object.h"

/* What is on its way: either values, which are borrowed (`kwargs` may be NULL), or an error, which
   is taken over: who waits here must not keep it alive. */
struct load {
    PyObject *args, *kwargs;
    PyObject *error;
};

PyObject *pc_greenlet_run_name;
static PyObject *empty_tuple;

int pc_greenlet_switch_init(void)
{
    empty_tuple = PyTuple_New(0);
    pc_greenlet_run_name = PyUnicode_InternFromString("run");
    return empty_tuple && pc_greenlet_run_name ? 0 : -1;
}

void pc_greenlet_look_after(struct pc_thread *thread)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    thread->calls = 0;
    if (pc_greenlet_let_go(thread) && pc_api_answer_call(thread) != 0)
        PyErr_WriteUnraisable(NULL);
    PyErr_Restore(type, value, traceback);
}

/* ---- the switch itself ---- */

/* A trace function that switches is in the way of tracing in the whole thread, not in its greenlet
   alone: it may have to do with all of them. The other greenlets borrow its count. */
void pc_greenlet_pass_on_tracing(struct pc_thread *thread)
{
    struct pc_coro *from = thread->current;
    thread->tracing = pc_py_tracing(thread->owner);
    if (from->borrowed)
        pc_py_set_tracing(thread->owner, thread->tracing - from->borrowed);
    from->borrowed = 0;
    if (!thread->leftover) /* where it arrives, somebody must have a look */
        thread->leftover = Py_NewRef(Py_None);
}

static void take_over_tracing(struct pc_thread *thread)
{
    int own = pc_py_tracing(thread->owner);
    if (thread->tracing > own) {
        thread->current->borrowed = thread->tracing - own;
        pc_py_set_tracing(thread->owner, thread->tracing);
    }
    thread->tracing = 0;
}

struct pc_greenlet_arrival pc_greenlet_take(struct pc_thread *thread)
{
    if (thread->tracing)
        take_over_tracing(thread);
    struct pc_greenlet_arrival arrival = {
        .value = thread->carried,
        .leftover = thread->leftover,
        .throwing = thread->carried_throw,
    };
    if (arrival.leftover && arrival.leftover == thread->origin) {
        PyObject *origin = arrival.leftover;
        if (PyTuple_CheckExact(origin)) /* with what else an end has left */
            origin = PyTuple_GET_ITEM(origin, 0);
        if (pc_greenlet_check(origin))
            arrival.origin = origin;
    }
    thread->carried = thread->leftover = thread->origin = NULL;
    return arrival;
}

PyObject *pc_greenlet_settle(struct pc_thread *thread, struct pc_greenlet_arrival arrival)
{
    int traced = 0;
    if (thread->tracer && arrival.origin)
        traced = pc_greenlet_trace(thread, arrival.throwing, arrival.origin);
    if (arrival.leftover || thread->calls) {
        PyObject *type, *value, *traceback;
        PyErr_Fetch(&type, &value, &traceback);
        Py_XDECREF(arrival.leftover);
        if (thread->calls)
            pc_greenlet_look_after(thread);
        PyErr_Restore(type, value, traceback);
    }
    if (traced == 0 && !arrival.throwing)
        return arrival.value;
    if (traced == 0)
        pc_api_raise(arrival.value);
    else
        Py_DECREF(arrival.value);
    return NULL;
}

static inline PyObject *arrive(struct pc_thread *thread)
{
    if (thread->carried_throw || thread->leftover || thread->calls || pc_py_is_behind) {
        struct pc_greenlet_arrival arrival = pc_greenlet_take(thread);
        if (pc_py_is_behind)
            pc_py_catch_up(thread->owner);
        return pc_greenlet_settle(thread, arrival);
    }
    PyObject *value = thread->carried;
    thread->carried = NULL;
    return value;
}

/* Goes on in `to`, where `value`, which is taken over, arrives, and with it, where there is a
   tracer, `origin`, which is left. */
static inline PyObject *pass_over(struct pc_thread *thread, struct pc_coro *to, PyObject *value,
                                  int throwing, PyObject *origin)
{
    thread->carried = value;
    thread->carried_throw = throwing;
    thread->leftover = thread->origin = origin;
    if (pc_py_tracing(thread->owner))
        pc_greenlet_pass_on_tracing(thread);
    pc_coro_switch(thread, to);
    return arrive(thread);
}

/* ---- whom it leads to ---- */

int pc_greenlet_check_thread(PyObject *greenlet, struct pc_thread *thread)
{
    PyObject *theirs = pc_greenlet_main_of(greenlet), *ours = pc_greenlet_main(thread);
    if (!ours)
        return -1;
    if (theirs == ours)
        return 0;
    if (!theirs)
        PyErr_SetString(pc_greenlet_error, "cannot switch to a garbage collected greenlet");
    else if (pc_greenlet_is_stranded(theirs))
        PyErr_SetString(pc_greenlet_error,
                        "cannot switch to a different thread (which happens to have exited)");
    else
        PyErr_Format(pc_greenlet_error,
                     "Cannot switch to a different thread\n\tCurrent:  %R\n\tExpected: %R", ours,
                     theirs);
    return -1;
}

struct pc_coro *pc_greenlet_find_receiver(PyObject *greenlet, struct pc_thread *thread,
                                          const struct pc_coro *me, PyObject **holds)
{
    if (pc_greenlet_check_thread(greenlet, thread) != 0)
        return NULL;
    PyObject *target = Py_NewRef(greenlet);
    struct pc_coro *coro = NULL;
    struct pc_walk walk = {0};
    while (target) {
        coro = pc_greenlet_own(target)->coro;
        if (!coro && !pc_greenlet_started(target)) {
            coro = pc_greenlet_start(target, thread);
            if (!coro && !PyErr_Occurred())
                continue;
            break;
        }
        if (coro && coro != me)
            break;
        PyObject *parent = pc_walk_is_round(&walk, target) ? Py_NewRef(pc_greenlet_main(thread))
                                                           : pc_greenlet_parent(target);
        Py_SETREF(target, parent);
    }
    if (!coro && !PyErr_Occurred())
        PyErr_SetString(pc_greenlet_error, "cannot switch to a garbage collected greenlet");
    if (!coro || pc_greenlet_check_thread(target, thread) != 0) {
        Py_XDECREF(target);
        return NULL;
    }
    *holds = target;
    return coro;
}

/* What arrives in one that goes on: a new reference. */
static PyObject *single(const struct load *load)
{
    if (load->error)
        return load->error;
    PyObject *args = load->args, *kwargs = load->kwargs;
    if (!kwargs || PyDict_GET_SIZE(kwargs) == 0)
        return Py_NewRef(PyTuple_GET_SIZE(args) == 1 ? PyTuple_GET_ITEM(args, 0) : args);
    return PyTuple_GET_SIZE(args) == 0 ? Py_NewRef(kwargs) : PyTuple_Pack(2, args, kwargs);
}

void pc_greenlet_let_go_of(struct pc_coro *to, PyObject *holds)
{
    if (Py_REFCNT(holds) > 1 || to->kept) {
        Py_DECREF(holds);
    } else { /* code that looking up `run` has run took all others away */
        to->kept = holds;
        to->thread->calls = 1;
    }
}

/* Does it wait in the loop, which is to wake it? */
static inline int waits(const struct pc_coro *coro)
{
    return coro->object && pc_object_waits(coro->object);
}

static PyObject *deliver(PyObject *greenlet, const struct load *load)
{
    const struct pc_coro *own = pc_greenlet_own(greenlet)->coro;
    if (own && !load->error && waits(own)) {
        pc_api_refuse(PC_REFUSED_WAITING);
        return deliver(greenlet, &(struct load){.error = pc_api_fetch()});
    }
    PyObject *value = single(load), *origin = NULL, *holds;
    struct pc_thread *thread = pc_greenlet_thread();
    if (thread && thread->calls)
        pc_greenlet_look_after(thread);
    if (!value || !thread || (thread->tracer && !(origin = pc_greenlet_current(thread))))
        goto no_receiver;
    struct pc_coro *to = pc_greenlet_find_receiver(greenlet, thread, NULL, &holds);
    if (!to)
        goto no_receiver;
    if (to->run && !load->error) { /* it begins */
        Py_SETREF(value, Py_NewRef(load->args));
        thread->keywords = Py_XNewRef(load->kwargs);
    } else if (!load->error) { /* it may be the parent of one that has ended */
        value = pc_object_tell_apart(to, value);
    }
    pc_greenlet_let_go_of(to, holds);
    return pass_over(thread, to, value, load->error != NULL, origin);

no_receiver:
    Py_XDECREF(origin);
    Py_XDECREF(value);
    return NULL;
}

/* ---- methods ---- */

PyObject *pc_greenlet_switch(PyObject *greenlet, PyObject *args, PyObject *kwargs)
{
    return deliver(greenlet, &(struct load){.args = args, .kwargs = kwargs});
}

static PyObject *switch_with_many(PyObject *greenlet, PyObject *const *values, Py_ssize_t count,
                                  PyObject *names)
{
    PyObject *args = PyTuple_New(count), *kwargs = names ? PyDict_New() : NULL, *result = NULL;
    if (!args || (names && !kwargs))
        goto end;
    for (Py_ssize_t i = 0; i < count; i++)
        PyTuple_SET_ITEM(args, i, Py_NewRef(values[i]));
    for (Py_ssize_t i = 0; names && i < PyTuple_GET_SIZE(names); i++)
        if (PyDict_SetItem(kwargs, PyTuple_GET_ITEM(names, i), values[count + i]) != 0)
            goto end;
    result = pc_greenlet_switch(greenlet, args, kwargs);
end:
    Py_XDECREF(args);
    Py_XDECREF(kwargs);
    return result;
}

PyObject *pc_greenlet_switch_fast(PyObject *greenlet, PyObject *const *values, Py_ssize_t count,
                                  PyObject *names)
{
    struct pc_thread *thread = pc_thread_here;
    struct pc_coro *to = pc_greenlet_own(greenlet)->coro;
    if (to && count <= 1 && !names && to->thread == thread && !thread->calls && !thread->tracer &&
        thread->owner == pc_py_thread() && !waits(to))
        return pass_over(thread, to, Py_NewRef(count ? values[0] : empty_tuple), 0, NULL);
    return switch_with_many(greenlet, values, count, names);
}

/* The instance that `type`, `value` and `traceback` are, as for `raise`: a new reference. */
static PyObject *make_error(PyObject *type, PyObject *value, PyObject *traceback)
{
    PyObject *error, *trail = Py_XNewRef(traceback == Py_None ? NULL : traceback);
    if (trail && !PyTraceBack_Check(trail)) {
        PyErr_SetString(PyExc_TypeError, "throw() third argument must be a traceback object");
        goto no_error;
    }
    if (PyExceptionClass_Check(type)) {
        PyObject *class = Py_NewRef(type);
        error = Py_XNewRef(value);
        PyErr_NormalizeException(&class, &error, &trail);
        Py_XDECREF(class);
    } else if (!PyExceptionInstance_Check(type)) {
        PyErr_Format(PyExc_TypeError, "exceptions must be classes, or instances, not %s",
                     Py_TYPE(type)->tp_name);
        goto no_error;
    } else if (value && value != Py_None) {
        PyErr_SetString(PyExc_TypeError, "instance exception may not have a separate value");
        goto no_error;
    } else {
        error = Py_NewRef(type);
    }
    /* Whether one that is raised without a traceback keeps its own is the interpreter's affair. */
    PyObject *class = Py_NewRef((PyObject *)Py_TYPE(error));
    PyErr_Restore(class, error, trail);
    PyErr_Fetch(&class, &error, &trail);
    PyException_SetTraceback(error, trail ? trail : Py_None);
    Py_DECREF(class);
    Py_XDECREF(trail);
    return error;

no_error:
    Py_XDECREF(trail);
    return NULL;
}

PyObject *pc_greenlet_throw(PyObject *greenlet, PyObject *type, PyObject *value,
                            PyObject *traceback)
{
    PyObject *error = make_error(type, value, traceback);
    if (!error)
        return NULL;
    int is_dead = pc_greenlet_started(greenlet) && !pc_greenlet_own(greenlet)->coro;
    if (!is_dead || !PyErr_GivenExceptionMatches(error, pc_greenlet_exit))
        return deliver(greenlet, &(struct load){.error = error});
    PyObject *args = PyTuple_Pack(1, error); /* a dead one ends by it at once */
    PyObject *result = args ? deliver(greenlet, &(struct load){.args = args}) : NULL;
    Py_XDECREF(args);
    Py_DECREF(error);
    return result;
}

PyObject *pc_greenlet_raise_in(PyObject *greenlet, PyObject *error)
{
    struct pc_thread *thread = pc_api_here();
    PyObject *origin = thread->tracer ? pc_greenlet_current(thread) : NULL;
    if (PyErr_Occurred())
        PyErr_WriteUnraisable(greenlet);
    struct pc_coro *coro = pc_greenlet_own(greenlet)->coro;
    if (coro && coro->state == PC_CORO_SUSPENDED)
        return pass_over(thread, coro, error, 1, origin);
    Py_XDECREF(origin); /* making it has run code, and that has ended the greenlet */
    Py_DECREF(error);
    return Py_NewRef(Py_None);
}
