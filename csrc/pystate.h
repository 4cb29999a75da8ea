/* What of the interpreter belongs to a coroutine: the contract that each pystate_3XX.c fulfils.
 *
 * The interpreter keeps, for each thread, one chain of frames, one recursion depth, one exception
 * being handled, one context, and more of the kind. Here is all that has to change hands when the
 * thread goes on in another coroutine. One file for each CPython version, complete in itself:
 * comparing two neighbours shows what a new version asks for. Exactly one is compiled.
 *
 * `thread` is the PyThreadState, given as void so that coro.c needs no Python to be tested.
 */
#ifndef PC_PYSTATE_H
#define PC_PYSTATE_H

#include <stddef.h>

struct pc_py_state {
    void *words[20]; /* each version has a struct of its own in here */
};

/* Default size of a stack, and how much of it is shut until a runaway recursion needs it, in
   bytes (see guard.h): what is safe differs with how a version counts recursion. */
extern const size_t PC_PY_STACK_SIZE, PC_PY_RESERVE;

/* The calling thread's PyThreadState, NULL where it has none. */
void *pc_py_thread(void);

/* Is the interpreter on its way out, past its atexit functions? */
int pc_py_is_finalizing(void);

/* The state of a coroutine that has not begun: no frames, nothing being handled, no context. Its
   C stack is [floor, top); Python frames go into `data`, which must be 16-byte aligned and at
   least 512 bytes. */
void pc_py_fresh(struct pc_py_state *state, void *thread, char *floor, char *top, char *data,
                 size_t data_size);

/* A fresh one counts its Python calls on from the running one's, so that a recursion which makes a
   coroutine at each step ends in RecursionError, too. */
void pc_py_inherit_depth(struct pc_py_state *fresh, void *thread);

/* The running coroutine is about to be suspended, or has been chosen to go on. Neither runs
   Python code. */
void pc_py_save(struct pc_py_state *state, void *thread);
void pc_py_restore(struct pc_py_state *state, void *thread);

/* Set by pc_py_restore() where something is left to do that may run Python code: who goes on calls
   pc_py_catch_up() once nothing is on its way to it any more. */
extern int pc_py_is_behind;
void pc_py_catch_up(void *thread);

/* The running coroutine is about to end: lets go of what it owns. May run Python code. */
void pc_py_release(void *thread);

/* Deallocates what the running coroutine has put off, however deep it is. May run Python code. */
void pc_py_empty_trash(void *thread);

/* In the signal handler of a thread that has run deep into its C stack: makes the next call that
   the interpreter counts raise RecursionError, by taking what is left of the counter. Says how
   much that was, for pc_py_forgive() to give back. */
int pc_py_exhaust(void *thread);
void pc_py_forgive(void *thread, int taken);

/* How many trace functions (of sys) the thread is in: while it is in any, nothing is traced. */
int pc_py_tracing(void *thread);
void pc_py_set_tracing(void *thread, int tracing);

/* Of a suspended coroutine: the innermost Python frame (a new reference, NULL where there is none
   or with an exception), and its contextvars context (a new reference; NULL: none yet). */
void *pc_py_frame(struct pc_py_state *state, void *thread);
void *pc_py_context(const struct pc_py_state *state);

/* Of one that never goes on, and whose stack has nothing on it but a chain of Python calls: has
   nobody a hold of its frames? The second lets go of what they refer to, as far as that is known,
   and may run Python code; then they may be overwritten. */
int pc_py_is_unseen(const struct pc_py_state *state);
void pc_py_drop_frames(struct pc_py_state *state);

/* Gives a suspended or fresh coroutine a context; takes over the reference. NULL: none. Returns
   the former one, which the caller must release. */
void *pc_py_set_context(struct pc_py_state *state, void *context);

/* A copy of the running coroutine's context for a new one; NULL with no error: it was empty, so
   having none is as good. NULL with an exception: no memory. */
void *pc_py_copy_context(void *thread);

#endif
