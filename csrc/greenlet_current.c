/* Who is who in a thread: the running greenlet, the main one, and the second objects of coroutines
   that have both a greenlet and a Coroutine. See greenlet.h. */
#include "greenlet.h"

#include "api.h"
#include "api_internal.h"
#include "object.h"

/* Set once at import; the GIL guards them. */
static PyObject *begin_hook, *carrier_hook, *attributes_key;

void pc_greenlet_current_init(PyObject *begin, PyObject *carrier)
{
    begin_hook = Py_NewRef(begin);
    carrier_hook = Py_NewRef(carrier);
    attributes_key = PyUnicode_InternFromString("greenlet");
}

Py_ssize_t pc_greenlet_mains;

/* Calls a hook, of which trace functions see nothing: PyPI's has no code in Python. */
static PyObject *call_unseen(PyObject *hook, PyObject *argument)
{
    PyThreadState *state = PyThreadState_Get();
    PyThreadState_EnterTracing(state);
    PyObject *result = argument ? PyObject_CallOneArg(hook, argument) : PyObject_CallNoArgs(hook);
    PyThreadState_LeaveTracing(state);
    return result;
}

struct pc_thread *pc_greenlet_thread(void)
{
    struct pc_thread *thread = pc_api_here();
    if (thread)
        return thread;
    PyObject *main = call_unseen(begin_hook, NULL);
    Py_XDECREF(main);
    return main ? pc_api_here() : NULL;
}

/* ---- greenlets for Coroutines ---- */

PyObject *pc_greenlet_main(struct pc_thread *thread)
{
    if (!thread->main.greenlet) {
        PyObject *main = pc_greenlet_make(&pc_greenlet_type, PC_GREENLET_MAIN);
        if (!main)
            return NULL;
        if (thread->main.greenlet) { /* making one has run code, which has made one */
            Py_DECREF(main);
            return thread->main.greenlet;
        }
        pc_greenlet_mains++;
        pc_greenlet_own(main)->coro = &thread->main;
        thread->main.greenlet = main; /* until pc_thread_end() */
    }
    return thread->main.greenlet;
}

/* A face's __dict__, which outlives it in what its Coroutine keeps for others: a new reference. */
static PyObject *attributes_of(PyObject *coroutine)
{
    PyObject *notes = pc_object_get(coroutine, PC_NOTES);
    PyObject *dict = PyDict_Check(notes) ? PyDict_GetItem(notes, attributes_key) : NULL;
    return dict && PyDict_Check(dict) ? Py_NewRef(dict) : NULL;
}

int pc_greenlet_keep_attributes(PyObject *coroutine, PyObject *dict)
{
    PyObject *notes = pc_object_get(coroutine, PC_NOTES);
    if (!PyDict_Check(notes)) {
        if (!(notes = PyDict_New()))
            return -1;
        pc_object_set(coroutine, PC_NOTES, notes);
    }
    return PyDict_SetItem(notes, attributes_key, dict);
}

/* The coroutine's greenlet, borrowed, or NULL. Deep in the stack the interpreter puts off what is to
   be deallocated, and a reference to that would not keep it: a face is none any more then, and one
   that runs is to be kept, as it is when its end is not put off. */
static PyObject *greenlet_of(struct pc_coro *coro)
{
    PyObject *greenlet = coro->greenlet;
    if (!greenlet || Py_REFCNT(greenlet) > 0)
        return greenlet;
    if (!pc_greenlet_owns(coro))
        pc_greenlet_part_from_owner(greenlet);
    else if (coro == coro->thread->current)
        pc_py_empty_trash(coro->thread->owner);
    return coro->greenlet;
}

static PyObject *make_face(struct pc_coro *coro)
{
    PyObject *main = pc_greenlet_main(coro->thread);
    PyObject *face = main ? pc_greenlet_make(&pc_greenlet_type, PC_GREENLET_FACE) : NULL;
    if (!face)
        return NULL;
    struct pc_greenlet_own *own = pc_greenlet_own(face);
    own->main = Py_NewRef(main);
    if (greenlet_of(coro) || !coro->object) { /* making one has run code */
        Py_DECREF(face);
        return Py_XNewRef(greenlet_of(coro));
    }
    own->coro = coro;
    own->other = Py_NewRef((PyObject *)coro->object);
    ((struct pc_greenlet *)face)->dict = attributes_of(own->other);
    coro->greenlet = face;
    return face;
}

PyObject *pc_greenlet_current(struct pc_thread *thread)
{
    struct pc_coro *coro = thread->current;
    PyObject *greenlet = greenlet_of(coro);
    if (greenlet)
        return Py_NewRef(greenlet);
    if (coro == &thread->main)
        return Py_XNewRef(pc_greenlet_main(thread));
    PyObject *object = (PyObject *)pc_current(); /* it may have lost its own */
    PyObject *face = object ? make_face(coro) : NULL;
    Py_XDECREF(object);
    return face;
}

PyObject *pc_greenlet_parent(PyObject *self)
{
    struct pc_greenlet_own *own = pc_greenlet_own(self);
    if (own->kind != PC_GREENLET_FACE || !own->coro)
        return Py_XNewRef(own->parent);
    PyObject *parent = own->other;
    struct pc_coro *coro = NULL;
    struct pc_walk walk = {0};
    while (!coro && !pc_walk_is_round(&walk, parent) &&
           (parent = pc_object_get(parent, PC_PARENT)) != Py_None)
        coro = pc_object_coro(parent);
    if (!coro || coro->thread != own->coro->thread || coro == &coro->thread->main)
        return Py_NewRef(own->main);
    PyObject *greenlet = greenlet_of(coro);
    return greenlet ? Py_NewRef(greenlet) : make_face(coro);
}

PyObject *pc_greenlet_main_of(PyObject *greenlet)
{
    for (; greenlet; greenlet = pc_greenlet_own(greenlet)->parent) {
        if (pc_greenlet_own(greenlet)->kind == PC_GREENLET_MAIN)
            return greenlet;
        if (pc_greenlet_own(greenlet)->main)
            return pc_greenlet_own(greenlet)->main;
    }
    return NULL;
}

int pc_greenlet_is_stranded(PyObject *greenlet)
{
    PyObject *main = pc_greenlet_main_of(greenlet);
    struct pc_coro *coro = main ? pc_greenlet_own(main)->coro : NULL;
    return main && (!coro || coro->thread->gone);
}

void pc_greenlet_unbind(struct pc_coro *coro)
{
    PyObject *greenlet = coro->greenlet;
    if (!greenlet)
        return;
    struct pc_greenlet_own *own = pc_greenlet_own(greenlet);
    own->coro = NULL;
    coro->greenlet = NULL;
    if (own->kind == PC_GREENLET_FACE && !own->parent)
        own->parent = Py_NewRef(own->main); /* who goes on in its place */
}

void pc_greenlet_strand(struct pc_coro *coro)
{
    if (pc_greenlet_owns(coro)) {
        struct pc_greenlet_own *own = pc_greenlet_own(coro->greenlet);
        own->lost = coro;
        own->context = pc_py_set_context(&coro->py, NULL);
    }
    pc_greenlet_unbind(coro);
}

/* ---- Coroutines for greenlets ---- */

static int has_carrier(const struct pc_greenlet_own *own)
{
    return own->other && pc_object_is_coroutine(own->other);
}

PyObject *pc_greenlet_carrier(struct pc_coro *coro)
{
    struct pc_greenlet_own *own = pc_greenlet_own(coro->greenlet);
    PyObject *left = own->other ? own->other : Py_None;
    PyObject *carrier = call_unseen(carrier_hook, left);
    if (!carrier || pc_object_check(carrier) != 0) {
        Py_XDECREF(carrier);
        return NULL;
    }
    if (coro->object) { /* making one has run code, which has made one */
        Py_DECREF(carrier);
        return Py_NewRef((PyObject *)coro->object);
    }
    pc_object_bind(carrier, coro);
    Py_XSETREF(own->other, Py_NewRef(carrier));
    return carrier;
}

int pc_greenlet_is_carried(PyObject *greenlet)
{
    struct pc_greenlet_own *own = pc_greenlet_own(greenlet);
    if (!has_carrier(own) || Py_REFCNT(own->other) == 1)
        return 0;
    if (PyObject_SetAttrString(own->other, "_carried", greenlet) != 0) {
        PyErr_WriteUnraisable(own->other);
        return 0;
    }
    Py_CLEAR(own->other);
    return 1;
}

void pc_greenlet_part_from_carrier(struct pc_coro *coro)
{
    PyObject *notes = pc_object_get(coro->object, PC_NOTES);
    struct pc_greenlet_own *own = pc_greenlet_own(coro->greenlet);
    if (!has_carrier(own) && notes != Py_None)
        Py_XSETREF(own->other, Py_NewRef(notes));
    pc_object_unbind(coro);
}
