/* Objects of greenlet's class (PyPI), which stand for a coroutine as Coroutine objects do.
 *
 * greenlet.c is the class, greenlet_switch.c what switches, greenlet_run.c start and end,
 * greenlet_current.c who is who in a thread, greenlet_drop.c the end of an object,
 * greenlet_module.c all else of the module.
 * They are in C, policy included, because a program can tell: greenlet's methods have no frames, so
 * that profilers, tracers and gr_frame see none. The coroutines under them are the core's.
 *
 * A greenlet owns the coroutine that it has started, as a Coroutine object does its own, without
 * either having a reference to the other. Where the two meet, a coroutine has a second object, a
 * face, made when somebody asks for the current one: a FACE for greenlet's getcurrent() in a
 * Coroutine; for pycoro's current() in a greenlet a Coroutine that pycoro/greenlet makes, its
 * carrier. A FACE has a reference to the owner, so whoever holds one keeps the other alive; it is
 * made anew when it has been dropped, with the attributes that it had. The MAIN one of a thread
 * lasts as long as that. A carrier lasts as long as its greenlet, which has a reference to it; where
 * the greenlet would die while others have one to the carrier, they change roles.
 */
#ifndef PC_GREENLET_H
#define PC_GREENLET_H

#include <Python.h>

#include "coro.h"

enum pc_greenlet_kind { PC_GREENLET, PC_GREENLET_MAIN, PC_GREENLET_FACE };

/* What an object keeps, out of line: extension modules that subclass the class in C (gevent's)
   know the size of its objects. */
struct pc_greenlet_own {
    struct pc_coro *coro; /* the living coroutine, or NULL */
    struct pc_coro *lost; /* the one that was suspended when its thread ended, or NULL */
    PyObject *parent;
    PyObject *run;     /* what the constructor was given; once started, what runs */
    PyObject *context; /* while it is not alive */
    PyObject *main;    /* of the thread that it has started in; NULL before, and for a main one */
    PyObject *other;   /* a FACE's owner; a greenlet's carrier, or what it has left behind */
    enum pc_greenlet_kind kind;
};

struct pc_greenlet {
    PyObject_HEAD
    PyObject *weak_references, *dict;
    struct pc_greenlet_own *own;
};

extern PyTypeObject pc_greenlet_type;

/* Set once at import: GreenletExit and error. */
extern PyObject *pc_greenlet_exit, *pc_greenlet_error;

static inline struct pc_greenlet_own *pc_greenlet_own(PyObject *greenlet)
{
    return ((struct pc_greenlet *)greenlet)->own;
}

static inline int pc_greenlet_check(PyObject *object)
{
    return PyObject_TypeCheck(object, &pc_greenlet_type);
}

/* Is the coroutine a greenlet's own? */
static inline int pc_greenlet_owns(const struct pc_coro *coro)
{
    return coro->greenlet && pc_greenlet_own(coro->greenlet)->kind == PC_GREENLET;
}

static inline int pc_greenlet_started(PyObject *greenlet)
{
    struct pc_greenlet_own *own = pc_greenlet_own(greenlet);
    return own->main || own->kind != PC_GREENLET;
}

/* A walk from parent to parent. They can be a cycle: one that is unwound has whoever runs for a
   parent, be that a descendant, and gets its former one back, be that one by then. */
struct pc_walk {
    const void *mark;
    size_t steps, until;
};

/* Has the walk come back to where it was? Not noticed at once, but some time. */
static inline int pc_walk_is_round(struct pc_walk *walk, const void *at)
{
    if (at == walk->mark)
        return 1;
    if (walk->steps++ == walk->until) {
        walk->mark = at;
        walk->until = 2 * walk->until + 1;
        walk->steps = 0;
    }
    return 0;
}

/* ---- greenlet.c ---- */

/* A new object of the class, or of a subclass, without a parent. */
PyObject *pc_greenlet_make(PyTypeObject *type, enum pc_greenlet_kind kind);

/* The constructor's part: 0, or -1 with an exception. NULL: not given. */
int pc_greenlet_set_run(PyObject *greenlet, PyObject *run);
int pc_greenlet_set_parent(PyObject *greenlet, PyObject *parent);

/* ---- greenlet_current.c ---- */

/* begin() makes the calling thread fit for coroutines; carrier(what one has left behind) gives a
   Coroutine to stand for a greenlet that runs. */
void pc_greenlet_current_init(PyObject *begin, PyObject *carrier);

/* The calling thread's record, which is begun if need be; NULL with an exception. */
struct pc_thread *pc_greenlet_thread(void);

/* How many main ones there are. */
extern Py_ssize_t pc_greenlet_mains;

/* The greenlet that runs in this thread; the main one, a borrowed reference. */
PyObject *pc_greenlet_current(struct pc_thread *thread);
PyObject *pc_greenlet_main(struct pc_thread *thread);

/* Its parent, or NULL without an exception: a new reference. A face's is its owner's, in so far as
   that is alive. */
PyObject *pc_greenlet_parent(PyObject *greenlet);

/* The main greenlet of the thread that it belongs to, by its parents where it has not started, as
   a borrowed reference; NULL: the collector has been there. */
PyObject *pc_greenlet_main_of(PyObject *greenlet);

/* Has that thread come to its end? */
int pc_greenlet_is_stranded(PyObject *greenlet);

/* What has been set on a face is for the next one of the same Coroutine. 0, or -1. */
int pc_greenlet_keep_attributes(PyObject *coroutine, PyObject *dict);

/* The coroutine ends, or will never go on: its greenlet stands for none from now on. The second: its
   thread ends, but frames may still be looked at. */
void pc_greenlet_unbind(struct pc_coro *coro);
void pc_greenlet_strand(struct pc_coro *coro);

/* A Coroutine object for the coroutine, a greenlet's that has none: a new reference. */
PyObject *pc_greenlet_carrier(struct pc_coro *coro);

/* The last reference to that object goes. */
void pc_greenlet_part_from_carrier(struct pc_coro *coro);

/* The last reference to the greenlet has gone. Is it its carrier, from now on, that keeps it? */
int pc_greenlet_is_carried(PyObject *greenlet);

/* ---- greenlet_drop.c ---- */

/* The class's tp_finalize and tp_dealloc. */
void pc_greenlet_finalize(PyObject *greenlet);
void pc_greenlet_dealloc(PyObject *greenlet);

/* A FACE is no more. What has been set on it is for the next one of the same Coroutine. */
void pc_greenlet_part_from_owner(PyObject *face);

/* Lets go of this thread's greenlets whose last reference went where they could not be unwound. Is
   there any other coroutine that wants to be looked after? */
int pc_greenlet_let_go(struct pc_thread *thread);

/* ---- greenlet_thread.c ---- */

/* measure(class) says how much C stack a greenlet uses that is suspended in a Python function.
   0, or -1 with an exception. */
int pc_greenlet_thread_init(PyObject *measure);

/* The calling thread is about to end. Has it greenlets left? Then its record lingers, and is ended
   later, by pc_api_end_thread(). */
int pc_greenlet_linger(struct pc_thread *thread);

/* The calling thread's, if that lingers: makes it usable, until it is closed again. Else NULL. */
struct pc_thread *pc_greenlet_reopen(void);
void pc_greenlet_close(struct pc_thread *thread);

/* Ends those that lingered in threads which have gone. */
void pc_greenlet_end_gone(void);

/* The calling thread begins anew: ends its former record, if that lingers. */
void pc_greenlet_end_lingering(struct pc_thread *thread);

/* The object of a stranded one goes, so that nobody can ask for its frames any more: its stack is
   used again, if that is safe. */
void pc_greenlet_erase(struct pc_coro *lost);

/* ---- greenlet_switch.c ---- */

/* 0, or -1 with an exception. */
int pc_greenlet_switch_init(void);

/* The class's methods; see PyPI for what they do. */
PyObject *pc_greenlet_switch(PyObject *greenlet, PyObject *args, PyObject *kwargs);
PyObject *pc_greenlet_switch_fast(PyObject *greenlet, PyObject *const *values, Py_ssize_t count,
                                  PyObject *names);
PyObject *pc_greenlet_throw(PyObject *greenlet, PyObject *type, PyObject *value,
                            PyObject *traceback);

/* Looks after this thread's coroutines that want it. What goes wrong goes to sys.unraisablehook. */
void pc_greenlet_look_after(struct pc_thread *thread);

/* Raises an exception, which is taken over, in a suspended one of this thread. */
PyObject *pc_greenlet_raise_in(PyObject *greenlet, PyObject *error);

/* What has arrived, taken from the thread so that others may switch meanwhile. All are references
   of its own but `origin`, which a tracer is to be told of. */
struct pc_greenlet_arrival {
    PyObject *value, *leftover, *origin;
    int throwing;
};

struct pc_greenlet_arrival pc_greenlet_take(struct pc_thread *thread);

/* The running one, which is in a trace function of sys, or somebody is, is about to be left. */
void pc_greenlet_pass_on_tracing(struct pc_thread *thread);

/* The rest of arriving: somebody is traced, has ended, or was dropped. The value, or NULL with what
   is to be raised. */
PyObject *pc_greenlet_settle(struct pc_thread *thread, struct pc_greenlet_arrival arrival);

/* 0, or -1 with an exception: the greenlet is not this thread's. */
int pc_greenlet_check_thread(PyObject *greenlet, struct pc_thread *thread);

/* Who gets what was meant for `greenlet`: that, or its nearest parent that is alive or can be
   started. `*holds` becomes a reference to who it is. `me` is about to end, and cannot be it. NULL
   with an exception. */
struct pc_coro *pc_greenlet_find_receiver(PyObject *greenlet, struct pc_thread *thread,
                                          const struct pc_coro *me, PyObject **holds);

/* Lets go of the receiver, which must be dropped while we wait, without running code. */
void pc_greenlet_let_go_of(struct pc_coro *to, PyObject *holds);

/* ---- greenlet_run.c ---- */

extern PyObject *pc_greenlet_run_name; /* "run" */

/* Starts it, without a switch yet. NULL with an exception; or without, where code that looking up
   `run` has run has been quicker. */
struct pc_coro *pc_greenlet_start(PyObject *greenlet, struct pc_thread *thread);

/* ---- greenlet_module.c ---- */

PyObject *pc_greenlet_getcurrent(PyObject *module, PyObject *none);

/* Tells the thread's tracer of a switch that has come here; -1 with the exception that it raised,
   for which it is dropped. */
int pc_greenlet_trace(struct pc_thread *thread, int throwing, PyObject *origin);

#endif
