/* What the api*.c and greenlet*.c share. */
#ifndef PC_API_INTERNAL_H
#define PC_API_INTERNAL_H

#include <Python.h>

#include "coro.h"

/* Part of pc_init(). 0, or -1 with an exception. */
int pc_api_init(PyObject *finish, PyObject *refuse, PyObject *called);

/* Gives the object, which has not started, a coroutine with a stack that will run `body`; the body
   finds what to run in `run`. NULL with an exception, and nothing changed. */
struct pc_coro *pc_api_start(PyObject *object, pc_body *body);

/* Raises the exception for a PC_REFUSED_ code; for a stack that cannot be had. */
void pc_api_refuse(int code);
void pc_api_refuse_stack(enum pc_stack_error error);

/* Takes over a reference to an exception instance, and raises it as it is. The second: what is
   raised, as an instance. */
void pc_api_raise(PyObject *error);
PyObject *pc_api_fetch(void);

/* Parts from all coroutines of the thread, which is the calling one or has ended. */
void pc_api_end_thread(struct pc_thread *thread);

/* Something of the thread's wants to be looked after. 0, or -1 with an exception. */
int pc_api_answer_call(struct pc_thread *thread);

/* The calling thread's record, if it has begun under this very thread state; else NULL. */
struct pc_thread *pc_api_here(void);

#endif
