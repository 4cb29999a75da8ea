/* The end of a thread that has greenlets. See greenlet.h.
 *
 * The end begins with pycoro/threads.py, somewhere among the thread's local data; some of that, not
 * deallocated yet, may be the last to refer to a greenlet, which is then to be unwound in here. So
 * the thread's record lingers until the system's thread has ended (or begins anew for the
 * interpreter); then the main thread ends it. What is still suspended is stranded.
 */
#include "greenlet.h"

#include "api_internal.h"
#include "guard.h"

#include <pthread.h>
#include <stdatomic.h>

/* Set once at import; the GIL guards them. */
static PyObject *measure_hook;
static pthread_key_t farewell;
static size_t plain_depth; /* bytes; 0: not known */

static _Atomic(struct pc_thread *) gone; /* a list by `next_gone` */

/* ---- stacks that are used again ---- */

static void measure_plain_depth(void)
{
    PyObject *depth = PyObject_CallOneArg(measure_hook, (PyObject *)&pc_greenlet_type);
    if (depth)
        plain_depth = PyLong_AsSize_t(depth);
    if (!depth || PyErr_Occurred()) {
        plain_depth = 0;
        PyErr_WriteUnraisable(measure_hook);
    }
    Py_XDECREF(depth);
}

void pc_greenlet_erase(struct pc_coro *lost)
{
    /* Where all is known of what lies there: nothing, not the collector either, points into it. */
    if (pc_coro_depth(lost) > plain_depth || !pc_py_is_unseen(&lost->py))
        return;
    pc_py_drop_frames(&lost->py);
    pc_coro_erase(lost);
}

/* ---- lingering ---- */

void pc_greenlet_end_gone(void)
{
    struct pc_thread *thread = atomic_exchange(&gone, NULL);
    while (thread) {
        struct pc_thread *next = thread->next_gone;
        pc_api_end_thread(thread);
        thread = next;
    }
}

static int end_gone(void *unused)
{
    (void)unused;
    pc_greenlet_end_gone();
    return 0;
}

/* In the system's thread at its very end, without the GIL. */
static void on_farewell(void *record)
{
    struct pc_thread *thread = record;
    pc_guard_leave_thread();
    pc_thread_here = NULL;
    struct pc_thread *next = atomic_load(&gone);
    do
        thread->next_gone = next;
    while (!atomic_compare_exchange_weak(&gone, &next, thread));
    thread->gone = 1;
    if (!pc_py_is_finalizing())
        Py_AddPendingCall(end_gone, NULL); /* if there are too many, one of those does it all */
}

int pc_greenlet_thread_init(PyObject *measure)
{
    measure_hook = Py_NewRef(measure);
    if (pthread_key_create(&farewell, on_farewell) == 0)
        return 0;
    PyErr_NoMemory();
    return -1;
}

int pc_greenlet_linger(struct pc_thread *thread)
{
    struct pc_coro *coro = thread->main.next;
    while (coro != &thread->main && !pc_greenlet_owns(coro))
        coro = coro->next;
    if (coro == &thread->main)
        return 0;
    if (!plain_depth)
        measure_plain_depth();
    if (pthread_setspecific(farewell, thread) != 0)
        return 0;
    thread->former_owner = PyThreadState_GetID(thread->owner);
    thread->owner = NULL;
    return 1;
}

struct pc_thread *pc_greenlet_reopen(void)
{
    struct pc_thread *thread = pc_thread_here;
    PyThreadState *state = pc_py_thread();
    if (!thread || thread->owner || !thread->former_owner ||
        thread->former_owner != PyThreadState_GetID(state))
        return NULL;
    thread->owner = state;
    return thread;
}

void pc_greenlet_close(struct pc_thread *thread)
{
    thread->owner = NULL;
}

void pc_greenlet_end_lingering(struct pc_thread *thread)
{
    if (thread->former_owner && pthread_setspecific(farewell, NULL) == 0)
        pc_api_end_thread(thread);
}
