/* What greenlet's module has beside the class: getcurrent(), tracing, and the C API, by which
   extension modules (gevent's, say) use greenlets. See greenlet.h. */
#include "greenlet.h"

#include "api.h"
#include "api_internal.h"

PyObject *pc_greenlet_exit, *pc_greenlet_error;

/* ---- functions ---- */

PyObject *pc_greenlet_getcurrent(PyObject *module, PyObject *none)
{
    (void)module, (void)none;
    if (pc_py_is_finalizing()) {
        PyErr_SetString(PyExc_RuntimeError, "greenlet is being finalized");
        return NULL;
    }
    struct pc_thread *thread = pc_greenlet_thread();
    if (!thread)
        return NULL;
    if (thread->calls)
        pc_greenlet_look_after(thread);
    return pc_greenlet_current(thread);
}

static PyObject *settrace(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *tracer;
    if (!PyArg_ParseTuple(args, "O", &tracer))
        return NULL;
    struct pc_thread *thread = pc_greenlet_thread();
    if (!thread)
        return NULL;
    PyObject *former = thread->tracer;
    thread->tracer = tracer == Py_None ? NULL : Py_NewRef(tracer);
    return former ? former : Py_NewRef(Py_None);
}

static PyObject *gettrace(PyObject *module, PyObject *none)
{
    (void)module, (void)none;
    struct pc_thread *thread = pc_greenlet_thread();
    if (!thread)
        return NULL;
    return Py_NewRef(thread->tracer ? (PyObject *)thread->tracer : Py_None);
}

static PyObject *get_total(PyObject *module, PyObject *none)
{
    (void)module, (void)none;
    return PyLong_FromSsize_t(pc_greenlet_mains);
}

int pc_greenlet_trace(struct pc_thread *thread, int throwing, PyObject *origin)
{
    PyObject *target = pc_greenlet_current(thread), *tracer = Py_XNewRef(thread->tracer);
    PyObject *result = NULL;
    if (target && tracer) {
        /* Its own calls are no business of sys.settrace() and sys.setprofile(). */
        PyThreadState_EnterTracing(thread->owner);
        result = PyObject_CallFunction(tracer, "s(OO)", throwing ? "throw" : "switch", origin,
                                       target);
        PyThreadState_LeaveTracing(thread->owner);
    }
    if (!result) {
        PyObject *former = thread->tracer;
        thread->tracer = NULL;
        Py_XDECREF(former);
    }
    Py_XDECREF(target);
    Py_XDECREF(tracer);
    Py_XDECREF(result);
    return result ? 0 : -1;
}

static PyMethodDef functions[] = {
    {"getcurrent", pc_greenlet_getcurrent, METH_NOARGS,
     PyDoc_STR("getcurrent() -> greenlet\n\nThe greenlet that calls this.")},
    {"settrace", settrace, METH_VARARGS,
     PyDoc_STR("settrace(callback) -> object\n\nSets this thread's tracer (None: none), which is "
               "called as\ncallback(event, (origin, target)) after each switch; gives the former "
               "one.")},
    {"gettrace", gettrace, METH_NOARGS,
     PyDoc_STR("gettrace() -> object\n\nThis thread's tracer, or None.")},
    {"get_total_main_greenlets", get_total, METH_NOARGS,
     PyDoc_STR("get_total_main_greenlets() -> int\n\nHow many there are. For tests.")},
};

enum { CARRIED = 3 }; /* the class has these, too */

/* ---- the C API: greenlet.h of PyPI has the types and numbers ---- */

static int is_greenlet(PyObject *object)
{
    if (object && pc_greenlet_check(object))
        return 1;
    PyErr_BadArgument();
    return 0;
}

static PyObject *c_new(PyObject *run, PyObject *parent)
{
    PyObject *self = PyObject_CallNoArgs((PyObject *)&pc_greenlet_type);
    if (self && ((run && pc_greenlet_set_run(self, run) != 0) ||
                 (parent && parent != Py_None && pc_greenlet_set_parent(self, parent) != 0)))
        Py_CLEAR(self);
    return self;
}

static PyObject *c_getcurrent(void)
{
    return pc_greenlet_getcurrent(NULL, NULL);
}

static PyObject *c_throw(PyObject *self, PyObject *type, PyObject *value, PyObject *traceback)
{
    return is_greenlet(self) ? pc_greenlet_throw(self, type, value, traceback) : NULL;
}

static PyObject *c_switch(PyObject *self, PyObject *args, PyObject *kwargs)
{
    if (!is_greenlet(self))
        return NULL;
    PyObject *tuple = args ? PySequence_Tuple(args) : PyTuple_New(0), *result = NULL;
    if (tuple)
        result = pc_greenlet_switch(self, tuple, kwargs && PyDict_Check(kwargs) ? kwargs : NULL);
    Py_XDECREF(tuple);
    return result;
}

static int c_set_parent(PyObject *self, PyObject *parent)
{
    return is_greenlet(self) ? pc_greenlet_set_parent(self, parent) : -1;
}

static int c_is_main(PyObject *self)
{
    return is_greenlet(self) ? pc_greenlet_own(self)->kind == PC_GREENLET_MAIN : -1;
}

static int c_is_started(PyObject *self)
{
    return is_greenlet(self) ? pc_greenlet_started(self) : -1;
}

static int c_is_active(PyObject *self)
{
    return is_greenlet(self) ? pc_greenlet_own(self)->coro != NULL : -1;
}

static PyObject *c_get_parent(PyObject *self)
{
    return is_greenlet(self) ? pc_greenlet_parent(self) : NULL;
}

static void *c_api[12];

static PyObject *make_c_api(void)
{
    void *const entries[12] = {
        &pc_greenlet_type,    pc_greenlet_error,     pc_greenlet_exit,     (void *)c_new,
        (void *)c_getcurrent, (void *)c_throw,       (void *)c_switch,     (void *)c_set_parent,
        (void *)c_is_main,    (void *)c_is_started,  (void *)c_is_active,  (void *)c_get_parent,
    };
    memcpy(c_api, entries, sizeof c_api);
    return PyCapsule_New(c_api, "greenlet._C_API", NULL);
}

/* ---- making all of it ---- */

static int add(PyObject *names, const char *name, PyObject *value)
{
    int status = value ? PyDict_SetItemString(names, name, value) : -1;
    Py_XDECREF(value);
    return status;
}

uintptr_t pc_greenlet_init(uintptr_t parts)
{
    PyObject *begin, *carrier, *measure, *module, *names = NULL, *class = (PyObject *)&pc_greenlet_type;
    if (!PyArg_ParseTuple((PyObject *)parts, "OOOOO", &pc_greenlet_exit, &pc_greenlet_error, &begin,
                          &carrier, &measure))
        return 0;
    Py_INCREF(pc_greenlet_exit);
    Py_INCREF(pc_greenlet_error);
    pc_greenlet_current_init(begin, carrier);
    if (pc_greenlet_switch_init() != 0 || pc_greenlet_thread_init(measure) != 0 || PyType_Ready(&pc_greenlet_type) != 0 ||
        !(module = PyUnicode_FromString("greenlet._greenlet")))
        return 0;
    if (!(names = PyDict_New()) ||
        add(names, "GreenletExit", Py_NewRef(pc_greenlet_exit)) != 0 ||
        add(names, "error", Py_NewRef(pc_greenlet_error)) != 0)
        goto end;
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (add(names, functions[i].ml_name, PyCFunction_NewEx(&functions[i], NULL, module)) != 0 ||
            (i + 1 == CARRIED && PyDict_Update(pc_greenlet_type.tp_dict, names) != 0))
            goto end;
    if (add(names, "greenlet", Py_NewRef(class)) != 0 || add(names, "_C_API", make_c_api()) != 0)
        goto end;
    PyType_Modified(&pc_greenlet_type);
end:
    Py_DECREF(module);
    if (PyErr_Occurred())
        Py_CLEAR(names);
    return (uintptr_t)names;
}
