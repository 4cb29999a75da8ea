/* The base class of local (pycoro/local.py): its __dict__ is another one for each coroutine.
 *
 * `views` has the dicts, by the number of the Coroutine object; Python fills it. For the time of an
 * access, the running coroutine's dict stands where the interpreter's own functions look for an
 * object's __dict__. They read it before they run any code that could switch. */
#include <Python.h>

#include "api.h"

#include <structmember.h> /* PyMemberDef, on 3.11 */

struct local {
    PyObject_HEAD
    PyObject *dict; /* borrowed, and NULL but for the time of an access */
    PyObject *views;
};

static PyObject *begin_hook; /* set once at import */

/* The running coroutine's dict, made by the hook if need be: a reference, or NULL. */
static PyObject *view(PyObject *object)
{
    PyObject *here = (PyObject *)pc_current();
    if (!here)
        return NULL;
    PyObject *number = PyLong_FromVoidPtr(here);
    Py_DECREF(here);
    if (!number)
        return NULL;
    PyObject *dict = PyDict_GetItemWithError(((struct local *)object)->views, number);
    Py_XINCREF(dict);
    Py_DECREF(number);
    if (!dict && !PyErr_Occurred())
        dict = PyObject_CallOneArg(begin_hook, object);
    if (dict && !PyDict_Check(dict)) {
        PyErr_SetString(PyExc_SystemError, "pycoro: a local's attributes are in no dict");
        Py_CLEAR(dict);
    }
    return dict;
}

/* A subclass of str has methods of its own, which would be called too early. */
static PyObject *plain(PyObject *name)
{
    return PyUnicode_Check(name) ? PyUnicode_FromObject(name) : Py_NewRef(name);
}

static PyObject *get_attribute(PyObject *object, PyObject *given)
{
    PyObject *value = NULL, *name = plain(given), *dict = name ? view(object) : NULL;
    if (dict) {
        ((struct local *)object)->dict = dict;
        value = PyObject_GenericGetAttr(object, name);
        ((struct local *)object)->dict = NULL;
        Py_DECREF(dict);
    }
    Py_XDECREF(name);
    return value;
}

static int set_attribute(PyObject *object, PyObject *given, PyObject *value)
{
    PyObject *name = plain(given), *dict = name ? view(object) : NULL;
    int result = -1;
    if (dict) {
        ((struct local *)object)->dict = dict;
        result = PyObject_GenericSetAttr(object, name, value);
        ((struct local *)object)->dict = NULL;
        Py_DECREF(dict);
    }
    Py_XDECREF(name);
    return result;
}

static PyObject *get_dict(PyObject *object, void *closure)
{
    (void)closure;
    return view(object);
}

static PyObject *new_local(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)args;
    (void)kwargs;
    PyObject *views = PyDict_New();
    PyObject *object = views ? type->tp_alloc(type, 0) : NULL;
    if (object)
        ((struct local *)object)->views = views;
    else
        Py_XDECREF(views);
    return object;
}

static int traverse(PyObject *object, visitproc visit, void *arg)
{
    Py_VISIT(((struct local *)object)->views);
    return 0;
}

/* Not the dict itself: clean-up code may still use the object. */
static int clear(PyObject *object)
{
    PyDict_Clear(((struct local *)object)->views);
    return 0;
}

static void dealloc(PyObject *object)
{
    PyObject_GC_UnTrack(object);
    Py_DECREF(((struct local *)object)->views);
    Py_TYPE(object)->tp_free(object);
}

static PyGetSetDef properties[] = {
    {"__dict__", get_dict, NULL, "The attributes that the running coroutine sees.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef members[] = {
    {"_local__views", T_OBJECT, offsetof(struct local, views), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyTypeObject local_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "pycoro.LocalBase",
    .tp_doc = "What of a local is written in C.",
    .tp_basicsize = sizeof(struct local),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_new = new_local,
    .tp_dealloc = dealloc,
    .tp_traverse = traverse,
    .tp_clear = clear,
    .tp_getattro = get_attribute,
    .tp_setattro = set_attribute,
    .tp_getset = properties,
    .tp_members = members,
    .tp_dictoffset = offsetof(struct local, dict),
};

uintptr_t pc_local_base(uintptr_t begin)
{
    if (PyType_Ready(&local_type) != 0)
        return 0;
    Py_XSETREF(begin_hook, Py_NewRef((PyObject *)begin));
    return (uintptr_t)Py_NewRef((PyObject *)&local_type);
}
