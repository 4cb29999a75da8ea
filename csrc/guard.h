/* When a coroutine runs out of C stack: the SIGSEGV handler.
 *
 * Python code must never get to the guard by recursion alone. On CPython 3.14 and later the
 * interpreter looks at the stack's bounds. Before that, touching the tripwire at the top of the
 * reserve makes the interpreter's next counted call raise RecursionError (pc_py_exhaust), and the
 * reserve is room enough for it; at the next switch made from above, all is as before. What is
 * left is C code that recurses uncounted and without end: it reaches the guard, and the process
 * dies with a sentence that names the coroutine and how to give it more.
 *
 * The handler runs on a stack of its own (sigaltstack), one for each thread. Faults elsewhere go
 * to the handler that was there before; ours stays installed, and is put back on top of one that
 * came later whenever a thread begins.
 */
#ifndef PC_GUARD_H
#define PC_GUARD_H

#include <stddef.h>

struct pc_coro;

/* Puts the name of the coroutine into `text` as one line. Called in the signal handler of a
   process that is about to die; it may read the interpreter's objects, no more. */
typedef void pc_guard_name(const struct pc_coro *coro, char *text, size_t size);

/* Installs the handler, or installs it again where another one took its place. 0, or -1. */
int pc_guard_install(pc_guard_name *name);

/* A stack for the handler of the calling thread. 0, or -1 with errno. */
int pc_guard_enter_thread(void);
void pc_guard_leave_thread(void);

#endif
