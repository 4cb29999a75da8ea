"""Arguments and refusals: what is wrong, said in a sentence with what to do about it."""

import sys
from types import TracebackType
from typing import Any

from . import _native
from .errors import CoroutineError, InvalidSwitchError


def check_stack_size(size: int) -> int:
    """`size` itself, in bytes. TypeError, ValueError: it is no size that a stack can have."""
    least, most = _native.STACK_LEAST, _native.STACK_MOST
    if not isinstance(size, int) or isinstance(size, bool):
        raise TypeError(f"stack_size must be an int, not {type(size).__name__}")
    if not least <= size <= most:
        raise ValueError(f"stack_size must be from {least:,} to {most:,} bytes, not {size:,}")
    return size


def make_exception(
    kind: Any, value: Any = None, traceback: TracebackType | None = None
) -> BaseException:
    """The instance that `raise`, or generator.throw(), would make of these three."""
    if traceback is not None and not isinstance(traceback, TracebackType):
        raise TypeError("throw() third argument must be a traceback object")
    if isinstance(kind, type) and issubclass(kind, BaseException):
        if isinstance(value, kind):
            error = value
        elif value is None:
            error = kind()
        else:
            error = kind(*value) if isinstance(value, tuple) else kind(value)
        if not isinstance(error, BaseException):
            raise TypeError(f"calling {kind.__name__} gave no exception, but {error!r}")
    elif isinstance(kind, BaseException):
        if value is not None:
            raise TypeError("instance exception may not have a separate value")
        error = kind
    else:
        raise TypeError(
            "exceptions must be classes, or instances, deriving from BaseException, "
            f"not {type(kind).__name__}"
        )
    return error if traceback is None else error.with_traceback(traceback)


def check_number(seconds: float, what: str) -> float:
    """`seconds` itself, of any sign, infinite too. TypeError, ValueError (NaN), OverflowError (an
    int beyond all floats): it is no number; `what` it is for."""
    try:
        is_number = seconds == seconds + 0.0
    except TypeError:
        raise TypeError(
            f"{what} must be a number of seconds, not {type(seconds).__name__}"
        ) from None
    except OverflowError:  # an int that no float can be
        raise OverflowError(
            f"{what} is too large a number of seconds: for no end, take inf"
        ) from None
    if not is_number:
        raise ValueError(f"{what} must be a number of seconds, not NaN")
    return seconds


def check_seconds(seconds: float, what: str) -> float:
    """`seconds` itself, infinite too. TypeError, ValueError (negative, NaN): it is no duration."""
    if check_number(seconds, what) < 0:
        raise ValueError(
            f"{what} must be a non-negative number of seconds, not {seconds!r}: where a deadline "
            "may have passed, take max(0, deadline - now)"
        )
    return seconds


def check_timeout(timeout: float | None) -> None:
    """None is no limit. TypeError, ValueError: as check_seconds()."""
    if timeout is not None:
        check_seconds(timeout, "timeout")


def check_name(name: str | None) -> str | None:
    """`name` itself. TypeError: neither a str nor None."""
    if name is not None and not isinstance(name, str):
        raise TypeError(f"name must be a str, not {type(name).__name__}")
    return name


def refuse(code: int) -> None:
    """Raises the exception for a PC_REFUSED_ code of the C library."""
    if code == _native.REFUSED_OTHER_THREAD:
        raise CoroutineError(
            "the coroutine belongs to another thread: only that thread can switch to it "
            "(hand work over by a queue, or by loop.call_soon_threadsafe)"
        )
    if code == _native.REFUSED_NO_MEMORY:
        raise MemoryError(
            f"no memory for another coroutine's stack: {_native.count_in_use():,} are in use, "
            f"{_native.count_bytes() >> 20:,} MiB of address space in all. Raise the limit of "
            "address space (ulimit -v) or of memory (cgroup), or give coroutines a smaller "
            "stack_size"
        )
    if code == _native.REFUSED_NO_MAPPINGS:
        raise MemoryError(
            f"no mapping left for another coroutine's guard page: {_native.count_in_use():,} are "
            "in use. Raise vm.max_map_count (sysctl), or use Linux 6.13 or later, whose guards "
            "need no mapping"
        )
    if code == _native.REFUSED_SIZE:
        raise ValueError("stack_size is out of bounds")
    if code == _native.REFUSED_WAITING:
        raise InvalidSwitchError(
            "a plain switch() led here, into the wait for something else: what a coroutine waits "
            "for wakes it, kill() or a Timeout ends its wait"
        )
    if code == _native.REFUSED_NESTED:
        raise RecursionError(
            f"{sys.getrecursionlimit():,} coroutines have started each other, one the next by "
            "switch(): sys.setrecursionlimit() allows more; tasks, by spawn(), do not count"
        )
    raise CoroutineError("the coroutine has ended, or its thread has")
