"""greenlet (PyPI) on pycoro's stacks: the same names, signatures and semantics as its version 3.5.

install() puts this module in its place, for programs that import greenlet; do that first.
`python -m pycoro.greenlet program` does it, then runs the program. The C API is there too, so that
extension modules compiled for greenlet (gevent's) run on it.
"""

from __future__ import annotations

import sys

from . import _greenlet
from ._greenlet import (
    _C_API,
    CLOCKS_PER_SEC,
    GREENLET_USE_CONTEXT_VARS,
    GREENLET_USE_GC,
    GREENLET_USE_TRACING,
    GreenletExit,
    enable_optional_cleanup,
    error,
    get_clocks_used_doing_optional_cleanup,
    getcurrent,
    gettrace,
    greenlet,
    settrace,
)

__all__ = [
    "_C_API",
    "GreenletExit",
    "__version__",
    "error",
    "getcurrent",
    "greenlet",
    "gettrace",
    "settrace",
]

__version__ = "3.5.6"  # of greenlet, whose API this is: programs compare it


def install() -> None:
    """From now on `import greenlet` gives this module."""
    sys.modules["greenlet"] = sys.modules[__name__]
    sys.modules["greenlet._greenlet"] = _greenlet
