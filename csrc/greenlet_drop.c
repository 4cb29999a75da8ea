/* The end of a greenlet object. One that is suspended when its last reference goes is unwound:
   GreenletExit is raised in it. One that ignores that stays as it is, object and all, as PyPI's
   does. See greenlet.h. */
#include "greenlet.h"

#include "api_internal.h"
#include "object.h"

/* ---- unwinding ---- */

/* Raises GreenletExit in it, and is its parent until it ends or switches back. */
static void unwind(PyObject *self, struct pc_thread *thread)
{
    struct pc_greenlet_own *own = pc_greenlet_own(self);
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyObject *here = pc_greenlet_current(thread), *result = NULL;
    PyObject *error = here ? PyObject_CallFunction(
        pc_greenlet_exit, "s", "Killing the greenlet because all references have vanished.") : NULL;
    if (error && own->coro) {
        PyObject *parent = own->parent;
        own->parent = here;
        here = NULL;
        result = pc_greenlet_raise_in(self, error);
        error = NULL;
        Py_XSETREF(own->parent, parent);
    }
    Py_XDECREF(here);
    Py_XDECREF(error);
    if (result)
        Py_DECREF(result);
    else if (PyErr_Occurred())
        PyErr_WriteUnraisable(self);
    PyErr_Restore(type, value, traceback);
}

static void complain(PyObject *self)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyObject *out = Py_XNewRef(PySys_GetObject("stderr"));
    if (out && out != Py_None &&
        (PyFile_WriteString("GreenletExit did not kill ", out) != 0 ||
         PyFile_WriteObject(self, out, 0) != 0 || PyFile_WriteString("\n", out) != 0))
        PyErr_Clear();
    Py_XDECREF(out);
    PyErr_Restore(type, value, traceback);
}

/* Unwinds it, or sees to it that its own thread does. */
static void finalize_in(PyObject *self, struct pc_coro *coro, struct pc_thread *here)
{
    if (coro->state == PC_CORO_RUNNING || coro->thread != here) {
        if (!coro->kept)
            coro->kept = Py_NewRef(self); /* which brings it back to life */
        coro->thread->calls = 1;
        return;
    }
    unwind(self, here);
    if (pc_greenlet_own(self)->coro && Py_REFCNT(self) == 1) {
        complain(self);
        Py_INCREF(self); /* for good */
    }
}

void pc_greenlet_finalize(PyObject *self)
{
    struct pc_greenlet_own *own = pc_greenlet_own(self);
    struct pc_coro *coro = own && own->kind == PC_GREENLET ? own->coro : NULL;
    if (!coro)
        return;
    if (pc_py_is_finalizing() && coro->state == PC_CORO_SUSPENDED) {
        pc_object_unbind_all(coro); /* no code runs any more */
        pc_coro_abandon(coro);
        return;
    }
    if (coro->thread->gone)
        pc_greenlet_end_gone();
    if (!own->coro || (Py_REFCNT(self) == 1 && pc_greenlet_is_carried(self)))
        return;
    struct pc_thread *here = pc_api_here(), *lingering = here ? NULL : pc_greenlet_reopen();
    finalize_in(self, coro, here ? here : lingering);
    if (lingering)
        pc_greenlet_close(lingering);
}

int pc_greenlet_let_go(struct pc_thread *thread)
{
    PyObject *kept = pc_object_take_kept(thread, 1);
    if (!kept) {
        PyErr_Clear();
        thread->calls = 1;
    }
    Py_XDECREF(kept); /* may run any code, and unwind them */
    for (struct pc_coro *coro = thread->main.next; coro != &thread->main; coro = coro->next)
        if (!pc_greenlet_owns(coro) && (coro->kept || !coro->object))
            return 1;
    return 0;
}

/* ---- the object ---- */

/* Nobody refers to it. Does anybody, after its end? */
static int is_revived(PyObject *self)
{
    Py_SET_REFCNT(self, 1);
    pc_greenlet_finalize(self);
    Py_ssize_t references = Py_REFCNT(self) - 1;
    Py_SET_REFCNT(self, references);
    if (references == 0)
        return 0;
    /* subtype_dealloc() will take a reference to the class, and has untracked the object. */
    if (PyType_HasFeature(Py_TYPE(self), Py_TPFLAGS_HEAPTYPE))
        Py_INCREF(Py_TYPE(self));
    if (!PyObject_GC_IsTracked(self))
        PyObject_GC_Track(self);
    return 1;
}

void pc_greenlet_part_from_owner(PyObject *self)
{
    struct pc_greenlet_own *own = pc_greenlet_own(self);
    PyObject *dict = ((struct pc_greenlet *)self)->dict;
    own->coro->greenlet = NULL;
    own->coro = NULL;
    if (!dict || PyDict_GET_SIZE(dict) == 0)
        return;
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    if (pc_greenlet_keep_attributes(own->other, dict) != 0)
        PyErr_WriteUnraisable(own->other);
    PyErr_Restore(type, value, traceback);
}

void pc_greenlet_dealloc(PyObject *self)
{
    struct pc_greenlet *object = (struct pc_greenlet *)self;
    struct pc_greenlet_own *own = object->own;
    if (own && own->coro) {
        if (own->kind == PC_GREENLET_FACE)
            pc_greenlet_part_from_owner(self);
        else if (is_revived(self))
            return;
    }
    PyObject_GC_UnTrack(self);
    if (object->weak_references)
        PyObject_ClearWeakRefs(self);
    Py_TRASHCAN_BEGIN(self, pc_greenlet_dealloc)
    Py_CLEAR(object->dict);
    if (own) {
        Py_CLEAR(own->parent);
        Py_CLEAR(own->run);
        Py_CLEAR(own->context);
        Py_CLEAR(own->main);
        Py_CLEAR(own->other);
        object->own = NULL;
        if (own->lost)
            pc_greenlet_erase(own->lost); /* may run any code */
        pc_greenlet_mains -= own->kind == PC_GREENLET_MAIN;
        PyMem_Free(own);
    }
    Py_TYPE(self)->tp_free(self);
    Py_TRASHCAN_END
}
