/* The start of a coroutine, for Python: its object gets a living one, with a stack. See api.h. */
#include <Python.h>

#include "api.h"
#include "api_internal.h"
#include "object.h"

/* Of those that say nothing; the GIL guards it. */
static size_t default_stack_size;

intptr_t pc_stack_size_default(void)
{
    return (intptr_t)(default_stack_size ? default_stack_size : PC_PY_STACK_SIZE);
}

void pc_stack_set_default(intptr_t size)
{
    default_stack_size = (size_t)size;
}

void pc_api_refuse_stack(enum pc_stack_error error)
{
    pc_api_refuse(error == PC_STACK_NO_MAPPINGS ? PC_REFUSED_NO_MAPPINGS
                  : error == PC_STACK_BAD_SIZE  ? PC_REFUSED_SIZE
                                                : PC_REFUSED_NO_MEMORY);
}

/* The name of what it runs, where it has none of its own: a new reference. */
static PyObject *find_name(PyObject *object, PyObject *run)
{
    static PyObject *qualname; /* interned, for quick lookup */
    PyObject *name = pc_object_get(object, PC_NAME);
    if (name != Py_None)
        return Py_NewRef(name);
    if (!qualname && !(qualname = PyUnicode_InternFromString("__qualname__")))
        return NULL;
    name = PyObject_GetAttr(run, qualname);
    if (!name && PyErr_ExceptionMatches(PyExc_AttributeError)) {
        PyErr_Clear(); /* functools.partial, an object with __call__ */
        name = PyObject_GetAttr((PyObject *)Py_TYPE(run), qualname);
    }
    return name;
}

struct pc_coro *pc_api_start(PyObject *object, pc_body *body)
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
    size_t size = (size_t)pc_stack_size_default();
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
