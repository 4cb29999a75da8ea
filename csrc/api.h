/* What Python sees of the C library: read by cffi and by api.c, so declarations only.
 *
 * A Python object crosses as uintptr_t: cffi has no type for it, so build_ffi.py makes its
 * generated wrappers pass the object's address through unchanged, and take a uintptr_t result as
 * a new reference, or as NULL with an exception set. Arguments are borrowed. A coroutine crosses
 * as intptr_t, a handle, never 0 for one that is alive.
 *
 * All of these are called with the GIL held, and keep it: a switch changes the interpreter's
 * state, and no other thread may look in between.
 */

/* Once, at import, in the main interpreter; NULL with an exception elsewhere. `type` is Coroutine.
   Of its slots this library reads _parent, uses _context of living ones, and alone writes _handle:
   None where there is no living coroutine.
   finish(object, value, failed) is called when a coroutine's run has ended, on its stack, unless
   its result simply goes to its living parent: it gives (handle, value), the handle negative to
   have the value raised there. refuse(code) raises the exception for a PC_REFUSED_ code. called()
   is called in a thread that pc_thread_call() was used for. dropped(object) is called when the
   last reference to a living coroutine has gone: `type` is given a __del__ for that. */
uintptr_t pc_init(uintptr_t type, uintptr_t finish, uintptr_t refuse, uintptr_t called,
                  uintptr_t dropped);

enum {
    PC_REFUSED_OTHER_THREAD, /* the coroutine is another thread's */
    PC_REFUSED_DEAD,         /* it has ended, or its thread has */
    PC_REFUSED_NO_MEMORY,    /* no address space or memory for a stack */
    PC_REFUSED_NO_MAPPINGS,  /* vm.max_map_count is reached */
    PC_REFUSED_SIZE,         /* stack size out of bounds */
};

/* Makes the calling thread fit for coroutines. `main` is the object of its main coroutine,
   borrowed until pc_thread_end(). Sets and gives the main coroutine's handle, or 0 with an exception. */
intptr_t pc_thread_begin(uintptr_t main);

/* The thread of that main coroutine has ended or is about to. */
void pc_thread_end(intptr_t main);

/* Has the coroutine's thread, if it is still there, call called() at its next switch. */
void pc_thread_call(intptr_t coroutine);

/* A suspended coroutine of the calling thread, other than main: any one, or one whose object is
   gone; 0 where there is none. */
intptr_t pc_thread_remaining(void);
intptr_t pc_thread_orphan(void);

/* The running coroutine's object; None where pc_thread_begin() has not been called. pc_enlist()
   gives the same to the constructor of `object`, whose handle it sets to None, but raises where
   that has a living coroutine: a second __init__ would lose it. */
uintptr_t pc_current(void);
uintptr_t pc_enlist(uintptr_t object);

/* A stack for a coroutine of the calling thread, whose main coroutine must be `main`. The first
   switch calls run(*args) on it, args being the tuple that is delivered. `object` is borrowed
   until it ends or is abandoned. `label` is a str that names it in a fatal error. `context` is a
   contextvars.Context or None. Sets the object's handle, and gives it; 0 with an exception. */
intptr_t pc_prepare(intptr_t main, uintptr_t object, uintptr_t run, uintptr_t label,
                    uintptr_t context, intptr_t stack_size);

/* Delivers a parcel and goes on in the coroutine: (handle, value), or a mere handle, with which
   () arrives. Gives what is delivered when somebody switches back. pc_throw() has the value, an
   exception instance, raised there. One argument, for cffi makes several slow. */
uintptr_t pc_switch(uintptr_t parcel);
uintptr_t pc_throw(uintptr_t parcel);

/* `object` stands for the coroutine from now on; sets its handle. 0, or -1 with an exception. */
int pc_adopt(intptr_t coroutine, uintptr_t object);

/* The suspended coroutine could not be unwound: it never goes on. */
void pc_abandon(intptr_t coroutine);

/* Of a suspended one: innermost frame or None. Of any one alive: its context or None. */
uintptr_t pc_frame(intptr_t coroutine);
uintptr_t pc_context(intptr_t coroutine);
int pc_set_context(intptr_t coroutine, uintptr_t context);

/* A copy of the running coroutine's context; None if that is as good. */
uintptr_t pc_copy_context(void);

/* Bytes. The smallest and largest stack, and the default of this interpreter. */
intptr_t pc_stack_least(void);
intptr_t pc_stack_most(void);
intptr_t pc_stack_default(void);

/* The object that stands for it, or None. */
uintptr_t pc_object(intptr_t coroutine);

/* Is it the one that its thread runs now? Could it still go on? A handle of one that has ended
   may meanwhile be another one's. */
int pc_is_running(intptr_t coroutine);
int pc_is_suspended(intptr_t coroutine);

/* Of one alive: size of its stack (0: main), and how deep its C stack is right now; -1 running. */
intptr_t pc_stack_size_of(intptr_t coroutine);
intptr_t pc_stack_depth(intptr_t coroutine);

/* Counts of the whole process. */
enum {
    PC_COUNT_STACKS,  /* ever made */
    PC_COUNT_IN_USE,  /* of them, now */
    PC_COUNT_WARM,    /* free, but keep their pages */
    PC_COUNT_TRIMMED, /* times that pages were given back */
    PC_COUNT_BYTES,   /* of address space */
};
intptr_t pc_count(int what);
