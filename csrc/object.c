/* See object.h. */
#include "object.h"

#include <structmember.h> /* PyMemberDef, on 3.11 */

struct handle {
    PyObject_HEAD
    struct pc_coro *coro; /* NULL once it has ended */
};

/* Set once at import; the GIL guards them. */
static PyObject *called_hook, *dropped_hook;
static PyTypeObject *coroutine_type;
static Py_ssize_t offsets[PC_SLOTS];

static const char *const slot_names[PC_SLOTS] = {
    [PC_HANDLE] = "_handle",   [PC_PARENT] = "_parent",
    [PC_RUN] = "_run",         [PC_CONTEXT] = "_context",
    [PC_NAME] = "_name",       [PC_STACK_BYTES] = "_stack_size",
    [PC_THREAD] = "_thread",
};

/* Is this the coroutine's thread, under the thread state that it began with? */
static int is_own_thread(const struct pc_coro *coro)
{
    return coro->thread == pc_thread_here && coro->thread &&
           coro->thread->owner == pc_py_thread();
}

void pc_object_call(struct pc_coro *coro)
{
    if (coro->thread)
        coro->thread->calls = 1;
}

static void handle_dealloc(PyObject *self)
{
    struct pc_coro *coro = ((struct handle *)self)->coro;
    PyObject_Free(self);
    if (!coro)
        return;
    /* The object died before its coroutine. */
    coro->object = NULL;
    pc_object_call(coro);
    if (coro->state != PC_CORO_SUSPENDED || !is_own_thread(coro))
        return;
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyObject *none = PyObject_CallNoArgs(called_hook);
    if (!none)
        PyErr_WriteUnraisable(called_hook);
    Py_XDECREF(none);
    PyErr_Restore(type, value, traceback);
}

static PyTypeObject handle_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "pycoro.handle",
    .tp_basicsize = sizeof(struct handle),
    .tp_dealloc = handle_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
};

/* ---- slots ---- */

static PyObject **slot_of(PyObject *object, enum pc_slot slot)
{
    return (PyObject **)(void *)((char *)object + offsets[slot]);
}

PyObject *pc_object_get(PyObject *object, enum pc_slot slot)
{
    PyObject *value = *slot_of(object, slot);
    return value ? value : Py_None;
}

void pc_object_set(PyObject *object, enum pc_slot slot, PyObject *value)
{
    Py_XSETREF(*slot_of(object, slot), value);
}

int pc_object_check(PyObject *object)
{
    if (PyObject_TypeCheck(object, coroutine_type))
        return 0;
    PyErr_Format(PyExc_TypeError, "a Coroutine is needed, not %.100s", Py_TYPE(object)->tp_name);
    return -1;
}

struct pc_coro *pc_object_coro(PyObject *object)
{
    PyObject *handle = *slot_of(object, PC_HANDLE);
    return handle && Py_IS_TYPE(handle, &handle_type) ? ((struct handle *)handle)->coro : NULL;
}

int pc_object_bind(PyObject *object, struct pc_coro *coro)
{
    struct handle *handle = PyObject_New(struct handle, &handle_type);
    if (!handle)
        return -1;
    handle->coro = coro;
    coro->object = object;
    pc_object_set(object, PC_HANDLE, (PyObject *)handle);
    return 0;
}

void pc_object_unbind(struct pc_coro *coro)
{
    PyObject *object = coro->object;
    if (!object)
        return;
    ((struct handle *)*slot_of(object, PC_HANDLE))->coro = NULL;
    coro->object = NULL;
    pc_object_set(object, PC_HANDLE, Py_NewRef(Py_None));
}

/* ---- the end of an object ---- */

/* Coroutine.__del__. */
static void finalize(PyObject *object)
{
    struct pc_coro *coro = pc_object_coro(object);
    if (!coro)
        return;
    if (coro->state == PC_CORO_RUNNING || !is_own_thread(coro)) {
        if (coro->thread && !coro->kept)
            coro->kept = Py_NewRef(object); /* which brings it back to life */
        pc_object_call(coro);
        return;
    }
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyObject *none = PyObject_CallOneArg(dropped_hook, object);
    if (!none)
        PyErr_WriteUnraisable((PyObject *)Py_TYPE(object));
    Py_XDECREF(none);
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

static int find_slot(enum pc_slot slot)
{
    const char *name = slot_names[slot];
    PyObject *descriptor = PyObject_GetAttrString((PyObject *)coroutine_type, name);
    if (!descriptor)
        return -1;
    int found = Py_IS_TYPE(descriptor, &PyMemberDescr_Type);
    if (found)
        offsets[slot] = ((PyMemberDescrObject *)descriptor)->d_member->offset;
    else
        PyErr_Format(PyExc_TypeError, "pycoro: %s must be a slot", name);
    Py_DECREF(descriptor);
    return found ? 0 : -1;
}

int pc_object_init(PyObject *type, PyObject *called, PyObject *dropped)
{
    coroutine_type = (PyTypeObject *)Py_NewRef(type);
    for (int slot = 0; slot < PC_SLOTS; slot++)
        if (find_slot((enum pc_slot)slot) != 0)
            return -1;
    called_hook = Py_NewRef(called);
    dropped_hook = Py_NewRef(dropped);
    if (PyType_Ready(&handle_type) != 0)
        return -1;
    return install_finalize();
}
