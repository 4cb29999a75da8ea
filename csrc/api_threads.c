/* Threads, for Python: their begin and end, who runs, and who wants to be looked after. See api.h
   for the functions, object.h for kept coroutines and orphans. */
#include <Python.h>

#include "api.h"
#include "api_internal.h"
#include "greenlet.h"
#include "guard.h"
#include "object.h"

static PyObject *shell_hook; /* set once at import; the GIL guards it */

static uintptr_t new_reference(void *object)
{
    return (uintptr_t)Py_NewRef(object ? (PyObject *)object : Py_None);
}

static void name_of(const struct pc_coro *coro, char *text, size_t size)
{
    /* Reads only: no call here may allocate. */
    PyObject *label = coro->label;
    size_t at = 0;
    if (!label || !PyUnicode_Check(label) || PyUnicode_GET_LENGTH(label) == 0)
        return;
    text[at++] = '\'';
    for (Py_ssize_t i = 0; i < PyUnicode_GET_LENGTH(label) && at + 2 < size; i++) {
        Py_UCS4 letter = PyUnicode_READ_CHAR(label, i);
        text[at++] = letter >= ' ' && letter < 127 ? (char)letter : '?';
    }
    text[at++] = '\'';
    text[at] = 0;
}

uintptr_t pc_init(uintptr_t type, uintptr_t finish, uintptr_t refuse, uintptr_t called,
                  uintptr_t dropped, uintptr_t shell, uintptr_t broken_off)
{
    if (shell_hook || PyInterpreterState_Get() != PyInterpreterState_Main()) {
        PyErr_SetString(PyExc_ImportError,
                        "pycoro cannot be imported twice in a process, nor in a subinterpreter");
        return 0;
    }
    if (pc_api_init((PyObject *)finish, (PyObject *)refuse, (PyObject *)called) != 0 ||
        pc_object_init((PyObject *)type, (PyObject *)called, (PyObject *)dropped,
                       (PyObject *)broken_off) != 0)
        return 0;
    if (pc_guard_install(name_of) != 0)
        return (uintptr_t)PyErr_SetFromErrno(PyExc_OSError);
    shell_hook = Py_NewRef((PyObject *)shell);
    return new_reference(NULL);
}

uintptr_t pc_thread_begin(uintptr_t main)
{
    PyObject *object = (PyObject *)main;
    if (pc_object_check(object) != 0)
        return 0;
    /* An older one of this thread belonged to a thread state that is gone. */
    if (pc_thread_here) {
        pc_thread_here->owner = NULL;
        pc_greenlet_end_lingering(pc_thread_here);
    }
    struct pc_thread *thread = pc_thread_enter(pc_py_thread());
    if (!thread || pc_guard_install(name_of) != 0) {
        pc_api_refuse(PC_REFUSED_NO_MEMORY);
        return 0;
    }
    pc_object_bind(object, &thread->main);
    thread->main.kept = Py_NewRef(object);
    return new_reference(NULL);
}

void pc_api_end_thread(struct pc_thread *thread)
{
    /* No code may run before the thread has been left: what is kept goes into a list first. */
    struct pc_coro *main = &thread->main, *one = main;
    void *others[] = {main->greenlet, thread->tracer, thread->leftover};
    PyObject *kept = PyList_New(0);
    for (size_t i = 0; kept && i < sizeof others / sizeof *others; i++)
        if (others[i] && PyList_Append(kept, others[i]) == 0)
            Py_DECREF(others[i]);
    do {
        pc_greenlet_strand(one);
        pc_object_unbind(one);
        if (kept && one->kept && PyList_Append(kept, one->kept) == 0)
            Py_DECREF(one->kept); /* else it is lost: no memory */
        one->kept = NULL;
        one = one->next;
    } while (one != main);
    PyErr_Clear();
    pc_thread_leave(thread);
    Py_XDECREF(kept);
}

uintptr_t pc_thread_end(uintptr_t main)
{
    struct pc_coro *coro = pc_object_coro((PyObject *)main);
    struct pc_thread *thread = coro ? coro->thread : NULL;
    if (thread && coro == &thread->main && !(thread == pc_api_here() && pc_greenlet_linger(thread)))
        pc_api_end_thread(thread);
    return new_reference(NULL);
}

uintptr_t pc_abandon(uintptr_t object)
{
    if (pc_object_check((PyObject *)object) != 0)
        return 0;
    struct pc_coro *coro = pc_object_coro((PyObject *)object);
    if (coro && coro->state == PC_CORO_SUSPENDED && coro->stack) {
        pc_object_unbind_all(coro);
        pc_coro_abandon(coro);
    }
    return new_reference(NULL);
}

/* ---- who wants to be looked after ---- */

static int is_remaining(const struct pc_coro *coro)
{
    return pc_object_of(coro) && !pc_greenlet_owns(coro); /* those are not unwound at the end */
}

static int is_orphan(const struct pc_coro *coro)
{
    return coro->object == NULL && !pc_greenlet_owns(coro);
}

static struct pc_coro *find_suspended(int (*fits)(const struct pc_coro *))
{
    struct pc_thread *thread = pc_api_here();
    if (!thread)
        return NULL;
    for (struct pc_coro *coro = thread->main.next; coro != &thread->main; coro = coro->next)
        if (coro->state == PC_CORO_SUSPENDED && fits(coro))
            return coro;
    return NULL;
}

/* A new object for one that has lost its own; NULL with an exception. */
static PyObject *bind_shell(struct pc_coro *coro)
{
    PyObject *shell = PyObject_CallNoArgs(shell_hook);
    if (shell && pc_object_check(shell) != 0)
        Py_CLEAR(shell);
    if (shell)
        pc_object_bind(shell, coro);
    return shell;
}

uintptr_t pc_thread_remaining(void)
{
    struct pc_coro *coro = find_suspended(is_remaining);
    return new_reference(coro ? coro->object : NULL);
}

uintptr_t pc_thread_kept(void)
{
    struct pc_thread *thread = pc_api_here();
    if (!thread)
        return (uintptr_t)PyList_New(0);
    pc_greenlet_let_go(thread); /* they need nobody else */
    return (uintptr_t)pc_object_take_kept(thread, 0);
}

uintptr_t pc_thread_orphan(void)
{
    struct pc_coro *coro = find_suspended(is_orphan);
    return coro ? (uintptr_t)bind_shell(coro) : new_reference(NULL);
}

intptr_t pc_thread_calls(void)
{
    return pc_thread_here && pc_thread_here->calls;
}

uintptr_t pc_thread_suspended(void)
{
    struct pc_thread *thread = pc_api_here();
    PyObject *list = PyList_New(0);
    if (!list || !thread)
        return (uintptr_t)list;
    /* A list that grows runs no code, so the ring stays as it is. */
    struct pc_coro *coro = &thread->main;
    do {
        if (coro->state == PC_CORO_SUSPENDED && pc_object_of(coro) &&
            PyList_Append(list, coro->object) != 0) {
            Py_DECREF(list);
            return 0;
        }
        coro = coro->next;
    } while (coro != &thread->main);
    return (uintptr_t)list;
}

/* ---- who runs ---- */

uintptr_t pc_current(void)
{
    struct pc_thread *thread = pc_api_here();
    if (!thread)
        return new_reference(NULL);
    struct pc_coro *coro = thread->current;
    if (!pc_object_of(coro) && pc_greenlet_owns(coro))
        return (uintptr_t)pc_greenlet_carrier(coro);
    if (!pc_object_of(coro)) { /* it has died under it: a subclass's __del__ did not tell us */
        pc_object_unbind(coro);
        PyObject *shell = bind_shell(coro);
        if (!shell)
            return 0;
        coro->kept = shell;
        thread->calls = 1;
    }
    return new_reference(coro->object);
}

static int is_inherited(PyTypeObject *type, const char *name)
{
    PyObject *its = PyObject_GetAttrString((PyObject *)type, name);
    PyObject *basic = PyObject_GetAttrString((PyObject *)&PyBaseObject_Type, name);
    int is = its && its == basic;
    Py_XDECREF(its);
    Py_XDECREF(basic);
    return is;
}

/* 0; -1 with TypeError. Coroutines stand in queues, from which others would be taken in their place,
   and are keys of what is to be raised in them. */
static int check_equality(PyTypeObject *type)
{
    if (type->tp_richcompare == PyBaseObject_Type.tp_richcompare &&
        type->tp_hash == PyBaseObject_Type.tp_hash)
        return 0;
    if (is_inherited(type, "__eq__") && is_inherited(type, "__hash__"))
        return 0; /* it has an order only */
    if (!PyErr_Occurred())
        PyErr_Format(PyExc_TypeError,
                     "%.100s must not have an __eq__ or __hash__ of its own: a coroutine is equal "
                     "to itself alone (for a dataclass: eq=False)",
                     type->tp_name);
    return -1;
}

uintptr_t pc_enlist(uintptr_t object)
{
    PyObject *coroutine = (PyObject *)object;
    if (pc_object_check(coroutine) != 0 || check_equality(Py_TYPE(coroutine)) != 0)
        return 0;
    if (pc_object_coro(coroutine)) {
        PyErr_SetString(PyExc_RuntimeError,
                        "the coroutine has been started: __init__ must not be called again");
        return 0;
    }
    pc_object_set(coroutine, PC_HANDLE, Py_NewRef(Py_None));
    return pc_current();
}
