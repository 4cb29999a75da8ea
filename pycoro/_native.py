"""The C library, by its compiled cffi module. Nobody else imports that module.

Each name here is a function of csrc/api.h without its prefix, where the contracts are. Objects
pass by address and keep their identity; handles are ints, 0 is none. The functions keep the GIL.
"""

from collections.abc import Callable
from typing import Any

from ._native_cffi import lib

init: Callable[[Any, Any, Any, Any, Any], None] = lib.pc_init
thread_begin: Callable[[Any], int] = lib.pc_thread_begin
thread_end: Callable[[int], None] = lib.pc_thread_end
thread_call: Callable[[int], None] = lib.pc_thread_call
thread_remaining: Callable[[], int] = lib.pc_thread_remaining
thread_orphan: Callable[[], int] = lib.pc_thread_orphan
object_of: Callable[[int], Any] = lib.pc_object
current: Callable[[], Any] = lib.pc_current
enlist: Callable[[Any], Any] = lib.pc_enlist
prepare: Callable[[int, Any, Any, Any, Any, int], int] = lib.pc_prepare
switch: Callable[[Any], Any] = lib.pc_switch
throw: Callable[[Any], Any] = lib.pc_throw
adopt: Callable[[int, Any], int] = lib.pc_adopt
abandon: Callable[[int], None] = lib.pc_abandon
is_running: Callable[[int], int] = lib.pc_is_running
is_suspended: Callable[[int], int] = lib.pc_is_suspended
frame: Callable[[int], Any] = lib.pc_frame
context: Callable[[int], Any] = lib.pc_context
set_context: Callable[[int, Any], int] = lib.pc_set_context
copy_context: Callable[[], Any] = lib.pc_copy_context
stack_size_of: Callable[[int], int] = lib.pc_stack_size_of
stack_depth: Callable[[int], int] = lib.pc_stack_depth
count: Callable[[int], int] = lib.pc_count

REFUSED_OTHER_THREAD: int = lib.PC_REFUSED_OTHER_THREAD
REFUSED_DEAD: int = lib.PC_REFUSED_DEAD
REFUSED_NO_MEMORY: int = lib.PC_REFUSED_NO_MEMORY
REFUSED_NO_MAPPINGS: int = lib.PC_REFUSED_NO_MAPPINGS
REFUSED_SIZE: int = lib.PC_REFUSED_SIZE

STACK_LEAST: int = lib.pc_stack_least()
STACK_MOST: int = lib.pc_stack_most()
STACK_DEFAULT: int = lib.pc_stack_default()


def count_stacks() -> int:
    """Stacks ever made in this process."""
    return count(lib.PC_COUNT_STACKS)


def count_in_use() -> int:
    """Stacks that belong to a living coroutine, or to an abandoned one."""
    return count(lib.PC_COUNT_IN_USE)


def count_warm() -> int:
    """Free stacks that keep their pages."""
    return count(lib.PC_COUNT_WARM)


def count_trimmed() -> int:
    """Times that pages of a freed stack were given back to the system."""
    return count(lib.PC_COUNT_TRIMMED)


def count_bytes() -> int:
    """Address space of all stacks, in bytes."""
    return count(lib.PC_COUNT_BYTES)
