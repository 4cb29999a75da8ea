/* The class greenlet: what its attributes are, and what the collector sees. See greenlet.h. Wording
   and order of all checks are those of PyPI's greenlet 3.5: programs compare messages. */
#include "greenlet.h"

#include "api_internal.h"

_Static_assert(sizeof(struct pc_greenlet) == 40, "greenlet.h of PyPI says 40 bytes");

static struct pc_coro *coro_of(PyObject *greenlet)
{
    return pc_greenlet_own(greenlet)->coro;
}

/* That of a thread which has just ended is not. */
static int is_alive(PyObject *greenlet)
{
    struct pc_coro *coro = coro_of(greenlet);
    return coro && !coro->thread->gone;
}

static int is_main(PyObject *greenlet)
{
    return pc_greenlet_own(greenlet)->kind == PC_GREENLET_MAIN;
}

static int fail(PyObject *exception, const char *message)
{
    PyErr_SetString(exception, message);
    return -1;
}

/* ---- making ---- */

PyObject *pc_greenlet_make(PyTypeObject *type, enum pc_greenlet_kind kind)
{
    static PyObject *nothing;
    if (!nothing && !(nothing = PyTuple_New(0)))
        return NULL;
    /* object's own refuses what is abstract. */
    PyObject *self = PyBaseObject_Type.tp_new(type, nothing, NULL);
    if (!self)
        return NULL;
    struct pc_greenlet_own *own = PyMem_Calloc(1, sizeof *own);
    if (!own) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    own->kind = kind;
    ((struct pc_greenlet *)self)->own = own;
    return self;
}

static PyObject *new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)args, (void)kwargs;
    struct pc_thread *thread = pc_greenlet_thread();
    if (thread && thread->calls)
        pc_greenlet_look_after(thread);
    PyObject *parent = thread ? pc_greenlet_current(thread) : NULL;
    PyObject *self = parent ? pc_greenlet_make(type, PC_GREENLET) : NULL;
    if (self)
        pc_greenlet_own(self)->parent = parent;
    else
        Py_XDECREF(parent);
    return self;
}

static int init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"run", "parent", NULL};
    PyObject *run = NULL, *parent = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|OO:green", names, &run, &parent) ||
        (run && pc_greenlet_set_run(self, run) != 0))
        return -1;
    return parent && parent != Py_None ? pc_greenlet_set_parent(self, parent) : 0;
}

/* ---- attributes ---- */

int pc_greenlet_set_run(PyObject *self, PyObject *run)
{
    if (is_main(self))
        return fail(PyExc_AttributeError, "Main greenlets do not have a run attribute.");
    if (pc_greenlet_started(self))
        return fail(PyExc_AttributeError, "run cannot be set after the start of the greenlet");
    Py_XSETREF(pc_greenlet_own(self)->run, Py_XNewRef(run));
    return 0;
}

static PyObject *get_run(PyObject *self, void *closure)
{
    (void)closure;
    PyObject *run = pc_greenlet_own(self)->run;
    if (is_main(self))
        fail(PyExc_AttributeError, "Main greenlets do not have a run attribute.");
    else if (pc_greenlet_started(self) || !run)
        fail(PyExc_AttributeError, "run");
    else
        return Py_NewRef(run);
    return NULL;
}

static int set_run(PyObject *self, PyObject *run, void *closure)
{
    (void)closure;
    return pc_greenlet_set_run(self, run);
}

static PyObject *get_parent(PyObject *self, void *closure)
{
    (void)closure;
    PyObject *parent = pc_greenlet_parent(self);
    return parent || PyErr_Occurred() ? parent : Py_NewRef(Py_None);
}

int pc_greenlet_set_parent(PyObject *self, PyObject *parent)
{
    if (!parent)
        return fail(PyExc_AttributeError, "can't delete attribute");
    if (is_main(self))
        return fail(PyExc_AttributeError, "cannot set the parent of a main greenlet");
    if (!pc_greenlet_check(parent)) {
        PyErr_Format(PyExc_TypeError, "GreenletChecker: Expected any type of greenlet, not %s",
                     Py_TYPE(parent)->tp_name);
        return -1;
    }
    PyObject *root = NULL, *each = parent;
    struct pc_walk walk = {0};
    for (; each && !pc_walk_is_round(&walk, each); each = pc_greenlet_own(each)->parent) {
        if (each == self)
            return fail(PyExc_ValueError, "cyclic parent chain");
        root = is_main(each) ? each : pc_greenlet_own(each)->main;
    }
    if (!root)
        return fail(PyExc_ValueError, "parent must not be garbage collected");
    if (pc_greenlet_started(self) && pc_greenlet_main_of(self) != root)
        return fail(PyExc_ValueError, "parent cannot be on a different thread");
    Py_XSETREF(pc_greenlet_own(self)->parent, Py_NewRef(parent));
    return 0;
}

static int set_parent(PyObject *self, PyObject *parent, void *closure)
{
    (void)closure;
    return pc_greenlet_set_parent(self, parent);
}

static PyObject *get_frame(PyObject *self, void *closure)
{
    (void)closure;
    struct pc_greenlet_own *own = pc_greenlet_own(self);
    struct pc_coro *coro = own->coro ? own->coro : own->lost;
    void *frame = NULL;
    if (coro && coro->state != PC_CORO_RUNNING)
        frame = pc_py_frame(&coro->py, pc_py_thread());
    return frame || PyErr_Occurred() ? frame : Py_NewRef(Py_None);
}

/* Does it run? Then 1, and its state is up to date; -1 with an exception: in another thread. */
static int look_at_running(struct pc_coro *coro, const char *verb)
{
    if (!coro || coro->state != PC_CORO_RUNNING)
        return 0;
    if (coro->thread != pc_api_here()) {
        PyErr_Format(PyExc_ValueError,
                     "cannot %s context of a greenlet that is running in a different thread", verb);
        return -1;
    }
    pc_py_save(&coro->py, coro->thread->owner);
    return 1;
}

static PyObject *get_context(PyObject *self, void *closure)
{
    (void)closure;
    struct pc_coro *coro = coro_of(self);
    if (look_at_running(coro, "get") < 0)
        return NULL;
    PyObject *context =
        coro ? pc_py_context(&coro->py) : Py_XNewRef(pc_greenlet_own(self)->context);
    return context ? context : Py_NewRef(Py_None);
}

static int set_context(PyObject *self, PyObject *context, void *closure)
{
    (void)closure;
    if (!context)
        return fail(PyExc_AttributeError, "can't delete context attribute");
    if (context == Py_None)
        context = NULL;
    else if (!PyContext_CheckExact(context))
        return fail(PyExc_TypeError, "greenlet context must be a contextvars.Context or None");
    struct pc_coro *coro = coro_of(self);
    if (!coro) {
        Py_XSETREF(pc_greenlet_own(self)->context, Py_XNewRef(context));
        return 0;
    }
    int running = look_at_running(coro, "set");
    if (running < 0)
        return -1;
    PyObject *former = pc_py_set_context(&coro->py, Py_XNewRef(context));
    if (running)
        pc_py_restore(&coro->py, coro->thread->owner);
    Py_XDECREF(former);
    return 0;
}

static PyObject *get_dead(PyObject *self, void *closure)
{
    (void)closure;
    return PyBool_FromLong(!is_alive(self) && pc_greenlet_started(self));
}

/* PyPI's is how many bytes lie on the heap. Nothing is moved here: how many are in use, as far as
   that is known. */
static PyObject *get_stack_saved(PyObject *self, void *closure)
{
    (void)closure;
    struct pc_coro *coro = coro_of(self);
    Py_ssize_t bytes = 0;
    if (coro && coro->state == PC_CORO_SUSPENDED)
        bytes = coro->stack ? (Py_ssize_t)pc_coro_depth(coro) : 1;
    return PyLong_FromSsize_t(bytes);
}

static int set_dict(PyObject *self, PyObject *dict, void *closure)
{
    (void)closure;
    if (!dict)
        return fail(PyExc_TypeError, "__dict__ may not be deleted");
    if (!PyDict_Check(dict))
        return fail(PyExc_TypeError, "__dict__ must be a dictionary");
    return PyObject_GenericSetDict(self, dict, NULL);
}

static int truth(PyObject *self)
{
    return is_alive(self);
}

static PyObject *repr(PyObject *self)
{
    struct pc_coro *coro = coro_of(self);
    struct pc_thread *thread = pc_api_here();
    const char *name = Py_TYPE(self)->tp_name;
    int started = pc_greenlet_started(self), stranded = started && pc_greenlet_is_stranded(self);
    PyObject *main = started && !stranded ? pc_greenlet_main_of(self) : NULL;
    void *which = main ? coro_of(main)->thread : NULL;
    if (started && !is_alive(self))
        return PyUnicode_FromFormat("<%s object at %p (otid=%p) %sdead>", name, self, which,
                                    stranded ? "(thread exited) " : "");
    const char *state = !started ? "" : thread && coro == thread->current ? " current" : " suspended";
    return PyUnicode_FromFormat("<%s object at %p (otid=%p)%s%s%s%s>", name, self, which, state,
                                coro ? " active" : "", started ? " started" : " pending",
                                is_main(self) ? " main" : "");
}

/* ---- methods ---- */

static PyObject *throw(PyObject *self, PyObject *args)
{
    PyObject *type = pc_greenlet_exit, *value = NULL, *traceback = NULL;
    if (!PyArg_ParseTuple(args, "|OOO:throw", &type, &value, &traceback))
        return NULL;
    return pc_greenlet_throw(self, type, value, traceback);
}

static PyObject *get_state(PyObject *self, PyObject *none)
{
    (void)none;
    PyErr_Format(PyExc_TypeError, "cannot serialize '%s' object", Py_TYPE(self)->tp_name);
    return NULL;
}

PyDoc_STRVAR(switch_doc, "switch(*args, **kwargs)\n\n"
"Goes on in this greenlet, and returns what the switch that comes back brings.\n\n"
"One that has not started calls self.run(*args, **kwargs). In one that is suspended, its own\n"
"switch() returns what is given: the argument if there is one, else a tuple of them; a dict of\n"
"keywords; or (tuple, dict) where there are both. In place of a dead one its parent goes on.");

PyDoc_STRVAR(throw_doc, "throw(type=GreenletExit, value=None, traceback=None)\n\n"
"Goes on in this greenlet, as switch() does, and raises the exception there.");

static PyMethodDef methods[] = {
    {"switch", (PyCFunction)(void (*)(void))pc_greenlet_switch_fast, METH_FASTCALL | METH_KEYWORDS,
     switch_doc},
    {"throw", throw, METH_VARARGS, throw_doc},
    {"__getstate__", get_state, METH_NOARGS, NULL},
    {0},
};

static PyGetSetDef attributes[] = {
    {"__dict__", PyObject_GenericGetDict, set_dict, NULL, NULL},
    {"run", get_run, set_run, NULL, NULL},
    {"parent", get_parent, set_parent, NULL, NULL},
    {"gr_frame", get_frame, NULL, NULL, NULL},
    {"gr_context", get_context, set_context, NULL, NULL},
    {"dead", get_dead, NULL, NULL, NULL},
    {"_stack_saved", get_stack_saved, NULL, NULL, NULL},
    {0},
};

/* ---- the collector ---- */

static int traverse(PyObject *self, visitproc visit, void *arg)
{
    struct pc_greenlet_own *own = pc_greenlet_own(self);
    Py_VISIT(((struct pc_greenlet *)self)->dict);
    if (!own)
        return 0;
    Py_VISIT(own->parent);
    Py_VISIT(own->run);
    Py_VISIT(own->context);
    Py_VISIT(own->main);
    Py_VISIT(own->other);
    return 0;
}

static int clear(PyObject *self)
{
    struct pc_greenlet_own *own = pc_greenlet_own(self);
    if (own && own->kind == PC_GREENLET && own->coro)
        return 0; /* it has outlived being unwound, and still needs these */
    Py_CLEAR(((struct pc_greenlet *)self)->dict);
    if (!own)
        return 0;
    Py_CLEAR(own->parent);
    Py_CLEAR(own->run);
    Py_CLEAR(own->context);
    if (own->kind == PC_GREENLET) { /* a face needs these to its end */
        Py_CLEAR(own->main);
        Py_CLEAR(own->other);
    }
    return 0;
}

static PyNumberMethods as_number = {.nb_bool = truth};

PyDoc_STRVAR(class_doc, "greenlet(run=None, parent=None) -> greenlet\n\n"
"Creates a new greenlet object (without running it).\n\n"
" - *run* -- The callable to invoke.\n"
" - *parent* -- The parent greenlet. The default is the current greenlet.");

PyTypeObject pc_greenlet_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "greenlet.greenlet",
    .tp_doc = class_doc,
    .tp_basicsize = sizeof(struct pc_greenlet),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_weaklistoffset = offsetof(struct pc_greenlet, weak_references),
    .tp_dictoffset = offsetof(struct pc_greenlet, dict),
    .tp_new = new,
    .tp_init = init,
    .tp_repr = repr,
    .tp_as_number = &as_number,
    .tp_methods = methods,
    .tp_getset = attributes,
    .tp_traverse = traverse,
    .tp_clear = clear,
    .tp_finalize = pc_greenlet_finalize,
    .tp_dealloc = pc_greenlet_dealloc,
};
