/* What tests see of the interpreter that is none: see pystate_none.c. */
#ifndef PYSTATE_NONE_H
#define PYSTATE_NONE_H

#include <stdint.h>

extern _Thread_local intptr_t test_interpreter;
/* Calls of pc_py_exhaust(), each of which takes 10; what pc_py_forgive() gave back. */
extern volatile int test_exhausted, test_forgiven;

#endif
