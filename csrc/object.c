/* See object.h. Coroutine's base class, which has one pointer, and its end: finalize() may be
   called in vain or not at all, dealloc() is called once and last. */
#include "object.h"

#include "api.h"
#include "greenlet.h"

#include <structmember.h> /* PyMemberDef, on 3.11 */

/* Set once at import; the GIL guards them. */
PyTypeObject *pc_coroutine_type;
static PyObject *called_hook, *dropped_hook;
static Py_ssize_t offsets[PC_SLOTS];
Py_ssize_t pc_object_wait_offset; /* one of them */
PyObject *pc_object_broken_off;

static PyTypeObject base_type; /* below */

static const char *const slot_names[PC_SLOTS] = {
    [PC_HANDLE] = "_handle",   [PC_PARENT] = "_parent",
    [PC_RUN] = "_entry",         [PC_CONTEXT] = "_context",
    [PC_NAME] = "_name",       [PC_STACK_BYTES] = "_stack_size",
    [PC_THREAD] = "_thread",   [PC_NOTES] = "_notes",
    [PC_WAIT] = "_wait",
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
    if (pc_object_is_coroutine(object))
        return 0;
    PyErr_Format(PyExc_TypeError, "a Coroutine is needed, not %.100s", Py_TYPE(object)->tp_name);
    return -1;
}

void pc_object_bind(PyObject *object, struct pc_coro *coro)
{
    coro->object = object;
    ((struct pc_base *)object)->coro = coro;
    pc_object_set(object, PC_HANDLE, Py_NewRef(Py_True));
}

void pc_object_unbind(struct pc_coro *coro)
{
    PyObject *object = coro->object;
    if (!object)
        return;
    coro->object = NULL;
    ((struct pc_base *)object)->coro = NULL;
    pc_object_set(object, PC_HANDLE, Py_NewRef(Py_None));
}

void pc_object_unbind_all(struct pc_coro *coro)
{
    pc_greenlet_unbind(coro);
    pc_object_unbind(coro);
}

PyObject *pc_object_take_kept(struct pc_thread *thread, int greenlets)
{
    PyObject *list = PyList_New(0);
    if (!list)
        return NULL;
    for (struct pc_coro *coro = thread->main.next; coro != &thread->main; coro = coro->next) {
        if (!coro->kept || (pc_greenlet_owns(coro) != 0) != greenlets)
            continue;
        if (coro->state != PC_CORO_SUSPENDED || PyList_Append(list, coro->kept) != 0) {
            PyErr_Clear();
            thread->calls = 1; /* it still runs, or there is no memory: next time */
        } else {
            Py_DECREF(coro->kept);
            coro->kept = NULL;
        }
    }
    return list;
}

/* ---- the end of an object ---- */

/* Base.__del__: may be called in vain, for the object may be brought back to life; or not at all,
   where a subclass has a __del__ of its own. */
static void finalize(PyObject *object)
{
    struct pc_coro *coro = pc_object_coro(object);
    if (!coro)
        return;
    if (pc_greenlet_owns(coro)) {
        pc_greenlet_part_from_carrier(coro);
        return;
    }
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

/* The object dies before its coroutine. */
static void orphan(struct pc_coro *coro)
{
    coro->object = NULL;
    if (pc_greenlet_owns(coro))
        return;
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

static void dealloc(PyObject *object)
{
    struct pc_coro *coro = ((struct pc_base *)object)->coro;
    Py_TYPE(object)->tp_free(object);
    if (coro)
        orphan(coro);
}

static PyTypeObject base_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "pycoro.Base",
    .tp_doc = "What of a Coroutine is written in C.",
    .tp_basicsize = sizeof(struct pc_base),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .tp_new = PyType_GenericNew,
    .tp_finalize = finalize,
    .tp_dealloc = dealloc,
};

uintptr_t pc_base(void)
{
    return PyType_Ready(&base_type) == 0 ? (uintptr_t)Py_NewRef((PyObject *)&base_type) : 0;
}

static int find_slot(PyObject *type, enum pc_slot slot)
{
    const char *name = slot_names[slot];
    PyObject *descriptor = PyObject_GetAttrString(type, name);
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

int pc_object_init(PyObject *type, PyObject *called, PyObject *dropped, PyObject *broken_off)
{
    pc_coroutine_type = (PyTypeObject *)Py_NewRef(type);
    for (int slot = 0; slot < PC_SLOTS; slot++)
        if (find_slot(type, (enum pc_slot)slot) != 0)
            return -1;
    pc_object_wait_offset = offsets[PC_WAIT];
    pc_object_broken_off = Py_NewRef(broken_off);
    called_hook = Py_NewRef(called);
    dropped_hook = Py_NewRef(dropped);
    return 0;
}
