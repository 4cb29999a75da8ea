"""`import gevent` of the suite: pycoro by gevent's names. Copied to where gevent/__init__.py is.

Of gevent itself there are its tests, what these are run with (`testing`), and three modules of
those, which have no loop in them. All other modules are pycoro's, under both names the same object;
one that pycoro has not is a ModuleNotFoundError. The few internals that `testing` cannot do without
are made up below, and those that a test only looks at before it comes to what it tests.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.abc
import importlib.util
import sys
import types
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from typing import Any

import pycoro.greenlet
from pycoro import pywsgi, select, subprocess
from pycoro.lock import Semaphore
from pycoro.pywsgi.log import NoLog

OWN = ("_compat", "_config", "_util", "testing", "tests")

if "greenlet" not in sys.modules:
    pycoro.greenlet.install()


def get_hub_if_exists() -> Any:
    here = pycoro.current()
    return None if here is None else here._thread.loop


def set_default_hub_class(kind: Any) -> None:
    pass


@contextlib.contextmanager
def ignoring_expected_test_error(hub: Any) -> Iterator[None]:
    """Errors of the kind that tests raise on purpose do not get to the main program."""
    tell = hub.handle_error

    def handle_error(context: Any, kind: Any, value: Any, traceback: Any) -> None:
        if not issubclass(kind, hub.EXPECTED_TEST_ERROR):
            tell(context, kind, value, traceback)

    hub.handle_error = handle_error
    try:
        yield
    finally:
        del hub.handle_error


def make_quiet_hub() -> Any:
    """testing.hub's class of hubs; here there is one class."""
    expected = importlib.import_module("gevent.testing.exception").ExpectedException
    pycoro.Hub.EXPECTED_TEST_ERROR = (expected,)
    pycoro.Hub.ignoring_expected_test_error = ignoring_expected_test_error
    return pycoro.Hub


pycoro.hub._get_hub = get_hub_if_exists
pycoro.hub.set_default_hub_class = set_default_hub_class
Semaphore.hub = None
select._original_select = None
subprocess.Popen._communicating_greenlets = None
pywsgi.MAX_REQUEST_LINE = 8192
pywsgi._NoopLog = NoLog
pywsgi.WSGIHandler._print_unexpected_exc = True
pycoro.Timeout._start_new_or_dummy = classmethod(lambda kind, *args: kind.start_new(*args))

MADE_UP: dict[str, Any] = {
    "_fileobjectcommon": lambda: {"OpenDescriptor": None},
    "_ffi": lambda: {"__path__": []},
    "_ffi.callback": lambda: {"callback": type("callback", (), {})},
    "_hub_local": lambda: {
        "get_hub": pycoro.get_hub,
        "get_hub_class": lambda: pycoro.Hub,
        "get_hub_if_exists": get_hub_if_exists,
    },
    "testing.hub": lambda: {"QuietHub": make_quiet_hub()},
}
OTHER_NAMES = {"greenlet": "gevent.greenlet"}


def spec_of(rest: str) -> ModuleSpec | None:
    """Of pycoro's module that stands for gevent.`rest`."""
    try:
        return importlib.util.find_spec(f"pycoro.{OTHER_NAMES.get(rest, rest)}")
    except ModuleNotFoundError:
        return None


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds pycoro.X for gevent.X."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        package, _, rest = name.partition(".")
        if package != "gevent" or not rest:
            return None
        if rest in MADE_UP:
            return importlib.util.spec_from_loader(name, self)
        if rest.split(".")[0] in OWN:
            return None
        ours = spec_of(rest)
        if ours is None:
            raise ModuleNotFoundError(f"pycoro has no {rest}, as gevent has", name=name)
        found = ModuleSpec(name, self, origin=ours.name)
        found.submodule_search_locations = ours.submodule_search_locations
        return found

    def get_code(self, name: str) -> types.CodeType | None:
        """For `python -m gevent.X`."""
        ours: Any = spec_of(name.removeprefix("gevent."))
        code: types.CodeType | None = ours.loader.get_code(ours.name)
        return code

    def create_module(self, spec: ModuleSpec) -> types.ModuleType | None:
        return None

    def exec_module(self, module: types.ModuleType) -> None:
        spec = module.__spec__
        assert spec is not None
        if spec.origin is None:
            vars(module).update(MADE_UP[spec.name.removeprefix("gevent.")]())
        else:
            sys.modules[spec.name] = importlib.import_module(spec.origin)


def __getattr__(name: str) -> Any:
    if name not in OTHER_NAMES and hasattr(pycoro, name):
        return getattr(pycoro, name)
    try:
        return importlib.import_module(f"gevent.{name}")
    except ModuleNotFoundError:
        raise AttributeError(f"pycoro has no {name}, as gevent has") from None


sys.meta_path.insert(0, Finder())
__version__ = "26.9.0"
