"""What greenlet (PyPI) has in its compiled module, which some programs import by that name.

The class and its functions are in C (csrc/greenlet*.c), made here, at the first import. No function
is defined here: then what others have put into this module dies with it.
"""

from __future__ import annotations

from typing import Any

from .. import _native
from ..coroutine import begin_thread
from ..errors import GreenletExit
from ._carrier import carry, measure
from ._optional import (
    enable_optional_cleanup,
    get_clocks_used_doing_optional_cleanup,
    get_pending_cleanup_count,
    set_thread_local,
)

__all__ = [
    "CLOCKS_PER_SEC",
    "GREENLET_USE_CONTEXT_VARS",
    "GREENLET_USE_GC",
    "GREENLET_USE_STANDARD_THREADING",
    "GREENLET_USE_TRACING",
    "_C_API",
    "GreenletExit",
    "enable_optional_cleanup",
    "error",
    "get_clocks_used_doing_optional_cleanup",
    "get_pending_cleanup_count",
    "get_total_main_greenlets",
    "getcurrent",
    "gettrace",
    "greenlet",
    "set_thread_local",
    "settrace",
]

CLOCKS_PER_SEC = 1_000_000
GREENLET_USE_CONTEXT_VARS = True
GREENLET_USE_GC = True
GREENLET_USE_STANDARD_THREADING = True
GREENLET_USE_TRACING = True


class error(Exception):  # noqa: N801  # greenlet's name for it
    """A switch that cannot be made: to another thread's greenlet, say."""


error.__module__ = "greenlet"

_names = _native.greenlet_init((GreenletExit, error, begin_thread, carry, measure))

_C_API: Any = _names["_C_API"]
get_total_main_greenlets: Any = _names["get_total_main_greenlets"]
getcurrent: Any = _names["getcurrent"]
gettrace: Any = _names["gettrace"]
greenlet: Any = _names["greenlet"]
settrace: Any = _names["settrace"]
del _names
