/* What the C library knows of a Coroutine object: its slots, and how it dies.
 *
 * A pc_coro holds the address of its object without a reference, for dropping the last reference
 * is what unwinds it. So the address must go when the object goes, whatever clean-up code of
 * Python's was cut short by a signal handler's exception, or replaced by a subclass: Coroutine is
 * made from a base class in C, whose deallocation sees to it.
 *
 * "Kept" is an object whose last reference went where it could not be unwound: while it ran, or
 * in another thread. Its pc_coro then has a reference, until its thread makes a switch. "Orphan" is
 * a pc_coro that lives on without its object: it ignored being unwound, say, or nobody tried.
 */
#ifndef PC_OBJECT_H
#define PC_OBJECT_H

#include <Python.h>

#include "coro.h"

enum pc_slot {
    PC_HANDLE,
    PC_PARENT,
    PC_RUN,
    PC_CONTEXT,
    PC_NAME,
    PC_STACK_BYTES,
    PC_THREAD,
    PC_NOTES,
    PC_WAIT,
    PC_SLOTS
};

/* 0, or -1 with an exception. The rest: see pc_init() in api.h. */
int pc_object_init(PyObject *type, PyObject *called, PyObject *dropped, PyObject *broken_off);

/* The base class of Coroutine, written in C. */
struct pc_base {
    PyObject_HEAD
    struct pc_coro *coro; /* the living coroutine that it stands for, or NULL */
};

extern PyTypeObject *pc_coroutine_type; /* set once at import */

static inline int pc_object_is_coroutine(PyObject *object)
{
    return PyObject_TypeCheck(object, pc_coroutine_type);
}

/* 0; -1 with TypeError where it is no Coroutine. */
int pc_object_check(PyObject *object);

/* What lies in a slot, borrowed: Py_None where that is empty. Setting takes over `value`. */
PyObject *pc_object_get(PyObject *object, enum pc_slot slot);
void pc_object_set(PyObject *object, enum pc_slot slot, PyObject *value);

/* Is it to be woken by what it waits for, and not to be switched to? Asked at each switch. */
extern Py_ssize_t pc_object_wait_offset;
extern PyObject *pc_object_broken_off;

static inline int pc_object_waits(PyObject *object)
{
    PyObject *wait = *(PyObject **)(void *)((char *)object + pc_object_wait_offset);
    return wait && wait != Py_None && wait != pc_object_broken_off;
}

/* `value`, which is taken over, is on its way to `to`, and nobody has asked whether that waits: an
   empty tuple would pass for a wake-up there, any other value is refused. Runs no code. */
static inline PyObject *pc_object_tell_apart(const struct pc_coro *to, PyObject *value)
{
    if (to->run || !to->object || !PyTuple_CheckExact(value) || PyTuple_GET_SIZE(value) != 0 ||
        !pc_object_waits(to->object))
        return value;
    Py_DECREF(value); /* there is but one, which stays */
    return Py_NewRef(Py_None);
}

/* The living coroutine that the object stands for, or NULL. */
static inline struct pc_coro *pc_object_coro(PyObject *object)
{
    return ((struct pc_base *)object)->coro;
}

/* Has it been started, and no living coroutine any more? */
static inline int pc_object_has_ended(PyObject *object)
{
    return !pc_object_coro(object) && pc_object_get(object, PC_RUN) == Py_None;
}

/* The object that stands for the coroutine, borrowed, or NULL. One whose last reference has gone is
   none any more, though its end may still be calling weak references' callbacks: a new reference
   to it would not keep it. */
static inline PyObject *pc_object_of(const struct pc_coro *coro)
{
    PyObject *object = (PyObject *)coro->object;
    return object && Py_REFCNT(object) > 0 ? object : NULL;
}

/* The object stands for the coroutine, which has none. */
void pc_object_bind(PyObject *object, struct pc_coro *coro);

/* The coroutine, if it has an object, has it no more. The second: nor a greenlet. */
void pc_object_unbind(struct pc_coro *coro);
void pc_object_unbind_all(struct pc_coro *coro);

/* Has something suspended or running be looked after by called(), at the thread's next switch. */
void pc_object_call(struct pc_coro *coro);

/* A list of the thread's objects, greenlets or the others, whose last reference went where they could
   not be unwound, and of which the list has the only one now; NULL with an exception. All at once,
   for looking for them goes through all coroutines. Runs no code. */
PyObject *pc_object_take_kept(struct pc_thread *thread, int greenlets);

#endif
