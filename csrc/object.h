/* What the C library knows of a Coroutine object: three of its slots, and how it dies.
 *
 * A pc_coro holds the address of its object without a reference, for dropping the last reference
 * is what unwinds it. So the address must go when the object goes, even where Python's clean-up
 * code was cut short by a signal handler's exception: that is what this file is for.
 */
#ifndef PC_OBJECT_H
#define PC_OBJECT_H

#include <stdint.h>

struct pc_coro;

/* As pc_init() in api.h. 0, or -1 with an exception. */
int pc_object_init(uintptr_t type, uintptr_t called, uintptr_t dropped);

/* The coroutine of the object's parent; NULL where there is none that is alive. */
struct pc_coro *pc_object_parent(void *object);

/* The object's handle becomes `coro`, or None for NULL, which cannot fail. 0, or -1 with
   MemoryError and the handle as it was. */
int pc_object_set_handle(void *object, const struct pc_coro *coro);

/* Sets the handle to None for a constructor. 0; -1 with an exception where the object is no
   Coroutine, or has a living one. */
int pc_object_check_fresh(void *object);

#endif
