/* See object.h; the functions for Python are in api.h. */
#include <Python.h>

#include "object.h"

#include "api.h"
#include "coro.h"

#include <structmember.h> /* PyMemberDef, on 3.11 */

/* Set once at import; the GIL guards them. */
static PyObject *dropped_hook, *called_hook;
static PyTypeObject *coroutine_type;
static Py_ssize_t handle_offset, parent_offset, context_offset;

static int find_slot(const char *name, Py_ssize_t *offset)
{
    PyObject *slot = PyObject_GetAttrString((PyObject *)coroutine_type, name);
    if (!slot)
        return -1;
    int found = Py_IS_TYPE(slot, &PyMemberDescr_Type);
    if (found)
        *offset = ((PyMemberDescrObject *)slot)->d_member->offset;
    else
        PyErr_Format(PyExc_TypeError, "pycoro: %s must be a slot", name);
    Py_DECREF(slot);
    return found ? 0 : -1;
}

static PyObject **slot_of(void *object, Py_ssize_t offset)
{
    return (PyObject **)(void *)((char *)object + offset);
}

int pc_object_set_handle(void *object, const struct pc_coro *coro)
{
    PyObject *handle = coro ? PyLong_FromSsize_t((Py_ssize_t)coro) : Py_NewRef(Py_None);
    if (!handle)
        return -1;
    Py_XSETREF(*slot_of(object, handle_offset), handle);
    return 0;
}

static struct pc_coro *coro_of(void *object)
{
    PyObject *handle = *slot_of(object, handle_offset);
    return handle && PyLong_Check(handle) ? (struct pc_coro *)PyLong_AsSsize_t(handle) : NULL;
}

struct pc_coro *pc_object_parent(void *object)
{
    PyObject *parent = *slot_of(object, parent_offset);
    return parent && PyObject_TypeCheck(parent, coroutine_type) ? coro_of(parent) : NULL;
}

int pc_object_check_fresh(void *object)
{
    if (!PyObject_TypeCheck((PyObject *)object, coroutine_type)) {
        PyErr_SetString(PyExc_TypeError, "Coroutine.__init__ needs a Coroutine");
        return -1;
    }
    if (coro_of(object)) {
        PyErr_SetString(PyExc_RuntimeError,
                        "the coroutine has been started: __init__ must not be called again");
        return -1;
    }
    return pc_object_set_handle(object, NULL);
}

int pc_adopt(intptr_t coroutine, uintptr_t object)
{
    struct pc_coro *coro = (struct pc_coro *)coroutine;
    if (pc_object_set_handle((void *)object, coro) != 0)
        return -1;
    coro->object = (void *)object;
    return 0;
}

/* Dies with the object that its context points to. */
static void on_object_gone(PyObject *watch)
{
    struct pc_coro *coro = PyCapsule_GetPointer(watch, NULL);
    if (coro->state != PC_CORO_SUSPENDED || coro->object != PyCapsule_GetContext(watch))
        return; /* it has ended, or stands under another object */
    coro->object = NULL;
    if (!coro->thread)
        return;
    coro->thread->calls = 1;
    if (coro->thread != pc_thread_here || coro->thread->owner != pc_py_thread())
        return;
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyObject *none = PyObject_CallNoArgs(called_hook);
    if (!none)
        PyErr_WriteUnraisable(called_hook);
    Py_XDECREF(none);
    PyErr_Restore(type, value, traceback);
}

/* Coroutine.__del__. In C, for a signal handler may raise at the first step of a Python __del__, and
   nobody would know that the object is gone. */
static void finalize(PyObject *object)
{
    struct pc_coro *coro = coro_of(object);
    if (!coro)
        return;
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyObject *none = PyObject_CallOneArg(dropped_hook, object);
    if (!none)
        PyErr_WriteUnraisable((PyObject *)Py_TYPE(object));
    Py_XDECREF(none);
    if ((coro = coro_of(object))) {
        /* Still alive. Brought back to life or not, Python does not call us again. */
        PyObject *watch = PyCapsule_New(coro, NULL, on_object_gone);
        if (watch && PyCapsule_SetContext(watch, object) == 0) {
            Py_XSETREF(*slot_of(object, context_offset), watch);
        } else {
            coro->object = NULL;
            PyErr_Clear();
            Py_XDECREF(watch);
        }
    }
    PyErr_Restore(type, value, traceback);
}

/* Makes finalize() the class's __del__, as if the class were written in C: called by its slot, in
   subclasses too. What describes that slot is borrowed from a class that is. */
static int install_finalize(void)
{
    PyObject *model = PyObject_GetAttrString((PyObject *)&PyGen_Type, "__del__");
    if (!model || !Py_IS_TYPE(model, &PyWrapperDescr_Type)) {
        PyErr_SetString(PyExc_SystemError, "pycoro: generators have no __del__ slot");
        Py_XDECREF(model);
        return -1;
    }
    PyObject *ours = PyDescr_NewWrapper(coroutine_type, ((PyWrapperDescrObject *)model)->d_base,
                                        (void *)finalize);
    Py_DECREF(model);
    int failed = !ours || PyObject_SetAttrString((PyObject *)coroutine_type, "__del__", ours) != 0;
    Py_XDECREF(ours);
    return failed ? -1 : 0;
}

int pc_object_init(uintptr_t type, uintptr_t called, uintptr_t dropped)
{
    coroutine_type = (PyTypeObject *)type;
    if (find_slot("_handle", &handle_offset) != 0 || find_slot("_parent", &parent_offset) != 0 ||
        find_slot("_context", &context_offset) != 0)
        return -1;
    Py_INCREF(coroutine_type);
    called_hook = Py_NewRef((PyObject *)called);
    dropped_hook = Py_NewRef((PyObject *)dropped);
    return install_finalize();
}
