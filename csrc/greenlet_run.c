/* What a greenlet does from its first switch to its end: it calls `run`, and says who goes on after
   it. See greenlet.h. */
#include "greenlet.h"

#include "api.h"
#include "api_internal.h"
#include "object.h"

/* ---- the end ---- */

/* What is left of one that has ended. */
struct estate {
    PyObject *value; /* what the heir gets */
    int failed;
    PyObject *bag; /* a tuple for what else there is to let go of; NULL in the common case */
};

enum { ORIGIN, KEPT, ASKED, CONTEXT, BAG_SIZE };

static struct pc_coro *living_parent(const struct pc_coro *me)
{
    PyObject *parent = pc_greenlet_own(me->greenlet)->parent;
    struct pc_coro *coro = parent ? pc_greenlet_own(parent)->coro : NULL;
    return coro && coro != me && coro->thread == me->thread ? coro : NULL;
}

static struct pc_coro *ask_parent(PyObject *parent, struct pc_coro *me, struct estate *estate)
{
    PyObject *holds, *args = NULL; /* where it begins */
    if (!estate->failed && !(args = PyTuple_Pack(1, estate->value)))
        return NULL;
    struct pc_coro *heir = pc_greenlet_find_receiver(parent, me->thread, me, &holds);
    if (heir) {
        if (heir->run && args)
            Py_SETREF(estate->value, Py_NewRef(args));
        pc_greenlet_let_go_of(heir, holds);
    }
    Py_XDECREF(args);
    return heir;
}

/* One parent after the other is asked to go on; what goes wrong with it is what the next gets. */
static struct pc_coro *ask_parents(struct pc_coro *me, struct estate *estate)
{
    struct pc_coro *heir = NULL;
    estate->bag = PyTuple_New(BAG_SIZE);
    PyObject *parent = pc_greenlet_parent(me->greenlet);
    while (estate->bag && parent && !(heir = ask_parent(parent, me, estate))) {
        Py_SETREF(estate->value, pc_api_fetch());
        estate->failed = 1;
        Py_SETREF(parent, pc_greenlet_parent(parent));
    }
    if (!heir) { /* no memory, or a parent that has got lost to the collector */
        PyErr_Clear();
        return &me->thread->main;
    }
    PyTuple_SET_ITEM(estate->bag, ASKED, parent);
    return heir;
}

/* Only now, for until here it could still be switched away from, and to; no code runs any more. */
static void part(struct pc_coro *me, const struct estate *estate)
{
    struct pc_thread *thread = me->thread;
    PyObject *kept = me->kept, *bag = estate->bag;
    PyObject *origin = thread->tracer ? Py_NewRef((PyObject *)me->greenlet) : NULL;
    me->kept = NULL;
    pc_object_unbind_all(me);
    if (bag) {
        PyTuple_SET_ITEM(bag, ORIGIN, origin);
        PyTuple_SET_ITEM(bag, KEPT, kept);
        pc_py_save(&me->py, thread->owner); /* looking up `run` may have made a context */
        PyTuple_SET_ITEM(bag, CONTEXT, pc_py_set_context(&me->py, NULL));
        thread->leftover = bag;
    } else {
        if (origin)
            Py_XDECREF(kept); /* the same */
        thread->leftover = origin ? origin : kept;
    }
    thread->origin = origin ? thread->leftover : NULL;
    thread->carried = estate->value;
    thread->carried_throw = estate->failed;
    if (pc_py_tracing(thread->owner))
        pc_greenlet_pass_on_tracing(thread);
}

/* ---- the start ---- */

static struct pc_coro *body(struct pc_coro *me)
{
    struct pc_thread *thread = me->thread;
    struct pc_greenlet_own *own = pc_greenlet_own(me->greenlet);
    struct pc_greenlet_arrival arrival = pc_greenlet_take(thread);
    PyObject *keywords = thread->keywords, *given = own->run, *label = me->label;
    thread->keywords = NULL;
    own->run = me->run; /* where the collector sees it */
    me->run = NULL;
    Py_XDECREF(given); /* if it is another, this may run code, and switches */
    PyObject *args = pc_greenlet_settle(thread, arrival);
    PyObject *result = args ? PyObject_Call(own->run, args, keywords) : NULL;
    struct estate estate = {result ? result : pc_api_fetch(), !result, NULL};
    Py_XDECREF(args);
    Py_XDECREF(keywords);
    Py_CLEAR(own->run);
    me->label = NULL;
    Py_DECREF(label); /* it may be of a subclass of str, with a __del__ */
    if (estate.failed && PyErr_GivenExceptionMatches(estate.value, pc_greenlet_exit))
        estate.failed = 0;
    pc_py_save(&me->py, thread->owner);
    Py_XSETREF(own->context, pc_py_context(&me->py));
    pc_py_release(thread->owner);
    struct pc_coro *heir = living_parent(me);
    if (!heir)
        heir = ask_parents(me, &estate);
    if (!estate.failed)
        estate.value = pc_object_tell_apart(heir, estate.value);
    part(me, &estate);
    return heir;
}

/* What the process says if the stack does not suffice; it must not run code to find it. */
static PyObject *label_of(PyObject *run)
{
    if (PyMethod_Check(run))
        run = PyMethod_GET_FUNCTION(run);
    PyObject *name = PyFunction_Check(run) ? ((PyFunctionObject *)run)->func_qualname : NULL;
    return name ? Py_NewRef(name) : PyUnicode_FromString(Py_TYPE(run)->tp_name);
}

struct pc_coro *pc_greenlet_start(PyObject *greenlet, struct pc_thread *thread)
{
    struct pc_greenlet_own *own = pc_greenlet_own(greenlet);
    PyObject *run = PyObject_GetAttr(greenlet, pc_greenlet_run_name);
    PyObject *label = run ? label_of(run) : NULL;
    struct pc_coro *coro = NULL;
    if (!label || pc_greenlet_check_thread(greenlet, thread) != 0 || pc_greenlet_started(greenlet))
        goto no_start;
    enum pc_stack_error error;
    if (!(coro = pc_coro_create(thread, (size_t)pc_stack_size_default(), body, &error))) {
        pc_api_refuse_stack(error);
        goto no_start;
    }
    coro->greenlet = greenlet;
    coro->run = run;
    coro->label = label;
    pc_py_inherit_depth(&coro->py, thread->owner);
    coro->nesting = thread->current->nesting; /* Coroutines count on from there */
    pc_py_set_context(&coro->py, own->context);
    own->context = NULL;
    own->coro = coro;
    own->main = Py_NewRef(thread->main.greenlet);
    return coro;

no_start:
    Py_XDECREF(label);
    Py_XDECREF(run);
    return NULL;
}
