"""The C library, by its compiled cffi module. Nobody else imports that module.

Each name here is a function or constant of csrc/api.h without its prefix, where the contracts are;
`Base` is what pc_base() gives. Objects pass by address and keep their identity. A coroutine passes
as its Coroutine. The functions keep the GIL.
"""

from collections.abc import Callable
from typing import Any

try:
    from ._native_cffi import lib
except ModuleNotFoundError as error:
    if error.name != f"{__package__}._native_cffi":
        raise
    raise ImportError(
        "pycoro's C library is not compiled for this Python: in the folder of the sources, with "
        "this Python, pip install ."
    ) from error

Base: Any = lib.pc_base()
init: Callable[[Any, Any, Any, Any, Any, Any, Any], None] = lib.pc_init
thread_begin: Callable[[Any], None] = lib.pc_thread_begin
thread_end: Callable[[Any], None] = lib.pc_thread_end
thread_remaining: Callable[[], Any] = lib.pc_thread_remaining
thread_kept: Callable[[], Any] = lib.pc_thread_kept
thread_orphan: Callable[[], Any] = lib.pc_thread_orphan
thread_calls: Callable[[], int] = lib.pc_thread_calls
thread_suspended: Callable[[], list[Any]] = lib.pc_thread_suspended
thread_running: Callable[[Any], Any] = lib.pc_thread_running
thread_living: Callable[[Any], list[Any]] = lib.pc_thread_living
current: Callable[[], Any] = lib.pc_current
enlist: Callable[[Any], Any] = lib.pc_enlist
switch: Callable[[Any], Any] = lib.pc_switch
throw: Callable[[Any], Any] = lib.pc_throw
prepare: Callable[[Any], None] = lib.pc_prepare
count_anew: Callable[[], None] = lib.pc_count_anew
abandon: Callable[[Any], None] = lib.pc_abandon
is_running: Callable[[Any], bool] = lib.pc_is_running
is_suspended: Callable[[Any], bool] = lib.pc_is_suspended
frame: Callable[[Any], Any] = lib.pc_frame
context: Callable[[Any], Any] = lib.pc_context
set_context: Callable[[Any], bool] = lib.pc_set_context
local_base: Callable[[Callable[[Any], dict[str, Any]]], Any] = lib.pc_local_base
copy_context: Callable[[], Any] = lib.pc_copy_context
stack_size_default: Callable[[], int] = lib.pc_stack_size_default
stack_set_default: Callable[[int], None] = lib.pc_stack_set_default
stack_size_of: Callable[[Any], int] = lib.pc_stack_size_of
count: Callable[[int], int] = lib.pc_count
greenlet_init: Callable[[tuple[Any, ...]], dict[str, Any]] = lib.pc_greenlet_init

REFUSED_OTHER_THREAD: int = lib.PC_REFUSED_OTHER_THREAD
REFUSED_NO_MEMORY: int = lib.PC_REFUSED_NO_MEMORY
REFUSED_NO_MAPPINGS: int = lib.PC_REFUSED_NO_MAPPINGS
REFUSED_SIZE: int = lib.PC_REFUSED_SIZE
REFUSED_WAITING: int = lib.PC_REFUSED_WAITING
REFUSED_NESTED: int = lib.PC_REFUSED_NESTED

STACK_LEAST: int = lib.pc_stack_least()
STACK_MOST: int = lib.pc_stack_most()


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
