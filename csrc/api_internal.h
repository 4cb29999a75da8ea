/* What the api*.c share. */
#ifndef PC_API_INTERNAL_H
#define PC_API_INTERNAL_H

#include <Python.h>

#include "coro.h"

/* Part of pc_init(). 0, or -1 with an exception. */
int pc_api_init(PyObject *finish, PyObject *refuse, PyObject *called);

/* Gives the object, which has not started, a coroutine with a stack that will run `body`; the body
   finds what to run in `run`. NULL with an exception, and nothing changed. */
struct pc_coro *pc_api_start(PyObject *object, pc_body *body);

/* Raises the exception for a PC_REFUSED_ code. */
void pc_api_refuse(int code);

/* The calling thread's record, if it has begun under this very thread state; else NULL. */
struct pc_thread *pc_api_here(void);

#endif
