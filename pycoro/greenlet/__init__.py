"""greenlet (PyPI) on pycoro's stacks: the same names, signatures and semantics as its version 3.5.

install() puts this module in its place, for programs that import greenlet; do that first.
`python -m pycoro.greenlet program` does it, then runs the program. The C API is there, too:
extension modules compiled for greenlet run on it, gevent's among them.

What differs (docs/greenlet.md has a table of all): each greenlet has a stack of its own, of
pycoro.stack_size() bytes, where PyPI's have the thread's; nothing is copied, so _stack_saved is
what is in use. A suspended greenlet that is in a cycle of garbage by its attributes is unwound by
the collector, where PyPI's is lost up to Python 3.14; by variables of its own frames it is lost,
where most of PyPI's are unwound from 3.15 on. Not there, for there is nothing for them to do:
UnswitchableGreenlet and _greenlet.get_tstate_trash_delete_nesting(), which test PyPI's copying; the
folder of C headers.
"""

from __future__ import annotations

import sys

from ..coroutine import stack_size as set_stack_size
from . import _greenlet
from ._greenlet import (
    _C_API,
    GreenletExit,
    error,
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
    "gettrace",
    "greenlet",
    "settrace",
]

__version__ = "3.5.6"  # of greenlet, whose API this is: programs compare it

CLOCKS_PER_SEC = _greenlet.CLOCKS_PER_SEC
GREENLET_USE_CONTEXT_VARS = _greenlet.GREENLET_USE_CONTEXT_VARS
GREENLET_USE_GC = _greenlet.GREENLET_USE_GC
GREENLET_USE_TRACING = _greenlet.GREENLET_USE_TRACING
enable_optional_cleanup = _greenlet.enable_optional_cleanup
get_clocks_used_doing_optional_cleanup = _greenlet.get_clocks_used_doing_optional_cleanup


def install(stack_size: int | None = None) -> None:
    """From now on `import greenlet` gives this module. `stack_size`: of all greenlets, in bytes,
    as pycoro.stack_size() sets it. RuntimeError where greenlet has been imported already, for
    others may have its names; ValueError for a size out of bounds."""
    other = sys.modules.get("greenlet")
    if other is not None and other is not sys.modules[__name__]:
        raise RuntimeError(
            "greenlet has been imported already: pycoro.greenlet.install() must come before all "
            "that imports it"
        )
    if stack_size is not None:
        set_stack_size(stack_size)
    sys.modules["greenlet"] = sys.modules[__name__]
    sys.modules["greenlet._greenlet"] = _greenlet
