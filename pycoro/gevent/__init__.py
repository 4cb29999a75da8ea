"""gevent's name for pycoro: programs that import gevent run on it, unchanged.

install() puts this module in gevent's place; do that first. `python -m pycoro.gevent program` does
it, then runs the program. The modules of gevent are then pycoro's of that name, and `import
greenlet` gives pycoro.greenlet, for such programs mix both packages.

docs/gevent.md says what is not there, and what differs. Compiled modules that are made for gevent's
own C code do not run so.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, NamedTuple

import pycoro

from .. import greenlet as _greenlet_package
from . import greenlet

__version__ = "26.9.0"  # of gevent, whose API this is: programs compare it


class _VersionInfo(NamedTuple):
    major: int
    minor: int
    micro: int
    releaselevel: str
    serial: int


version_info = _VersionInfo(26, 9, 0, "final", 0)

# What `from gevent import *` gives there: pycoro's other names might be the program's own.
__all__ = [
    "Greenlet",
    "GreenletExit",
    "Timeout",
    "config",
    "fork",
    "get_hub",
    "getcurrent",
    "getswitchinterval",
    "idle",
    "iwait",
    "joinall",
    "kill",
    "killall",
    "reinit",
    "setswitchinterval",
    "signal_handler",
    "sleep",
    "spawn",
    "spawn_later",
    "spawn_raw",
    "wait",
    "with_timeout",
]

PARTS = (
    *("backdoor", "baseserver", "contextvars", "core", "event", "events", "exceptions"),
    *("fileobject", "hub", "local", "lock", "monkey", "os", "pool", "pywsgi", "queue", "resolver"),
    *("select", "selectors", "server", "signal", "socket", "ssl", "subprocess", "thread"),
    *("threading", "threadpool", "time", "timeout", "util"),
)
_HOMES = {f"gevent.{name}": f"pycoro.{name}" for name in PARTS}
_HOMES["gevent.greenlet"] = greenlet.__name__


class _Finder(MetaPathFinder, Loader):
    """Finds gevent's modules here; of others of that name, says that they are not."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name in _HOMES:
            return ModuleSpec(name, self)
        if name.startswith("gevent."):
            raise ModuleNotFoundError(
                f"No module named {name!r}: pycoro is in gevent's place, and has no such part "
                "(docs/gevent.md)",
                name=name,
            )
        return None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        # Not in exec_module(), in place of an empty one: a thread that imports it at the same time
        # would have got that.
        module = importlib.import_module(_HOMES[spec.name])
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__ = module.__spec__.loader_state


_finder = _Finder()


def install(stack_size: int | None = None) -> None:
    """From now on `import gevent` gives this module, and `import greenlet` pycoro.greenlet.
    `stack_size`: of all tasks and greenlets, in bytes, as pycoro.stack_size() sets it. RuntimeError
    where one of the two has been imported already, for others may have its names; ValueError for a
    size out of bounds."""
    other = sys.modules.get("gevent")
    if other is not None and other is not sys.modules[__name__]:
        raise RuntimeError(
            "gevent has been imported already: pycoro.gevent.install() must come before all that "
            "imports it"
        )
    _greenlet_package.install(stack_size)
    sys.modules["gevent"] = sys.modules[__name__]
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


def __getattr__(name: str) -> Any:
    if name in PARTS:
        return importlib.import_module(f"pycoro.{name}")
    try:
        return getattr(pycoro, name)
    except AttributeError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None


def __dir__() -> list[str]:
    return sorted({*globals(), *PARTS, *pycoro.__all__})
