/* What Python sees of the C library: read by cffi and by the C files, so declarations only.
 *
 * A Python object crosses as uintptr_t: cffi has no type for it, so build_ffi.py makes its
 * generated wrappers pass the object's address through unchanged, and take a uintptr_t result as
 * a new reference, or as NULL with an exception set. Arguments are borrowed. A coroutine crosses
 * as its object, an instance of Coroutine; TypeError where it is something else.
 *
 * All of these are called with the GIL held, and keep it: a switch changes the interpreter's
 * state, and no other thread may look in between.
 */

/* The base class of Coroutine, which knows the living coroutine and sees the object die. */
uintptr_t pc_base(void);

/* Once, at import, in the main interpreter; ImportError elsewhere. `type` is Coroutine. Of its
   slots this library alone writes _handle: True where there is a living coroutine, else None. It
   reads _parent, _name, _stack_size and _thread, and takes what is in _entry and _context at the
   start. Where _wait is neither None nor `broken_off`, something else is to wake the coroutine: a
   switch to it raises refuse()'s exception in there.
   The hooks, which are called with what is in parentheses:
   finish(object, value, failed) when a coroutine's run has ended, on its stack, unless its result
   simply goes to its living parent: gives (object, value, failed), who goes on and with what. Also
   when one that ended before is switched to, with None: who is in its place;
   refuse(code) raises the exception for a PC_REFUSED_ code;
   called() in a thread some of whose coroutines want to be looked after: they are given by
   pc_thread_kept() and pc_thread_orphan();
   dropped(object) when the last reference to a suspended coroutine of this thread has gone;
   shell() gives a blank Coroutine, to stand for one that has lost its object. */
uintptr_t pc_init(uintptr_t type, uintptr_t finish, uintptr_t refuse, uintptr_t called,
                  uintptr_t dropped, uintptr_t shell, uintptr_t broken_off);

enum {
    PC_REFUSED_OTHER_THREAD, /* the coroutine is another thread's */
    PC_REFUSED_DEAD,         /* it has ended, or its thread has */
    PC_REFUSED_NO_MEMORY,    /* no address space or memory for a stack */
    PC_REFUSED_NO_MAPPINGS,  /* vm.max_map_count is reached */
    PC_REFUSED_SIZE,         /* stack size out of bounds */
    PC_REFUSED_WAITING,      /* it waits to be woken; raised in there */
    PC_REFUSED_NESTED,       /* too many have started each other */
};

/* Makes the calling thread fit for coroutines, with a blank object for its main one. Keeps a
   reference to that until pc_thread_end(), which is called when the thread has ended or is about
   to, and parts from all coroutines of the thread: None. */
uintptr_t pc_thread_begin(uintptr_t main);
uintptr_t pc_thread_end(uintptr_t main);

/* A suspended coroutine of the calling thread, other than main, or None: any; one whose object is
   gone, under a new one. And a list of those whose last reference went while they could not be
   unwound, which are then the caller's. The latter two look at all of them; where pc_thread_calls()
   gives 0 there are none of these. */
uintptr_t pc_thread_remaining(void);
uintptr_t pc_thread_orphan(void);
uintptr_t pc_thread_kept(void);
intptr_t pc_thread_calls(void);

/* A list of all suspended coroutines of the calling thread, main included where it is one. */
uintptr_t pc_thread_suspended(void);

/* From any thread, about the one whose main coroutine this is: the object of the coroutine that runs
   there, and a list of all that live there, that one first. None, and an empty list, where the
   thread has ended. */
uintptr_t pc_thread_running(uintptr_t main);
uintptr_t pc_thread_living(uintptr_t main);

/* The running coroutine's object; None where pc_thread_begin() has not been called. pc_enlist()
   gives the same to the constructor of `object`, whose _handle it sets to None; RuntimeError
   where that has a living coroutine, TypeError where its class does not compare by identity. */
uintptr_t pc_current(void);
uintptr_t pc_enlist(uintptr_t object);

/* Goes on in a coroutine, which is started if need be; in place of one that has ended, in who
   finish() says. pc_switch(): the parcel is (object, value, tuple of further values), or a mere
   object for none; one that is started gets the values as arguments, another what is alone, or a
   tuple. pc_throw(): (object, exception instance), which is raised there. Gives what is delivered
   when somebody switches back. One argument, for cffi makes several slow. */
uintptr_t pc_switch(uintptr_t parcel);
uintptr_t pc_throw(uintptr_t parcel);

/* Gives one that has not started a stack, so that it can be started without fail: None. */
uintptr_t pc_prepare(uintptr_t object);

/* The running one counts as started by nobody, as those do that are prepared: how many have started
   each other is counted from it on. None. */
uintptr_t pc_count_anew(void);

/* The suspended coroutine could not be unwound: it never goes on. None. */
uintptr_t pc_abandon(uintptr_t object);

/* True or False: it is the one that its thread runs; it is suspended, or prepared. */
uintptr_t pc_is_running(uintptr_t object);
uintptr_t pc_is_suspended(uintptr_t object);

/* Innermost frame of a suspended one, or None; context of one alive, or None. */
uintptr_t pc_frame(uintptr_t object);
uintptr_t pc_context(uintptr_t object);

/* (object, context or None): gives True, or False where it is not alive. */
uintptr_t pc_set_context(uintptr_t parcel);

/* A copy of the running coroutine's context; None if that is as good. */
uintptr_t pc_copy_context(void);

/* The module greenlet (PyPI), once, at import of pycoro/greenlet: gives a dict of what is in C of
   it. `parts` is a tuple: the classes GreenletExit and error; begin(), which makes a thread fit for
   coroutines; carrier(notes), which gives a Coroutine to stand for a greenlet that runs, with what
   its last one had in _notes, or None; measure(class), bytes of C stack under a greenlet that a
   Python function has suspended. */
uintptr_t pc_greenlet_init(uintptr_t parts);

/* The base class of local, whose __dict__ is another one for each coroutine. begin(object) is called
   when a coroutine uses one for the first time, and gives the dict, which it has put into the
   object's _local__views under the coroutine's id(). */
uintptr_t pc_local_base(uintptr_t begin);

/* Bytes. The smallest and largest stack; that of coroutines which say nothing, and setting it. */
intptr_t pc_stack_least(void);
intptr_t pc_stack_most(void);
intptr_t pc_stack_size_default(void);
void pc_stack_set_default(intptr_t size);

/* Size of the stack of one alive (0: main), else -1. */
intptr_t pc_stack_size_of(uintptr_t object);

/* Counts of the whole process. */
enum {
    PC_COUNT_STACKS,  /* ever made */
    PC_COUNT_IN_USE,  /* of them, now */
    PC_COUNT_WARM,    /* free, but keep their pages */
    PC_COUNT_TRIMMED, /* times that pages were given back */
    PC_COUNT_BYTES,   /* of address space */
};
intptr_t pc_count(int what);
