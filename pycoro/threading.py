"""The stdlib's threading module, whose threads are tasks: Thread, Lock, Condition, Event and so on.

It is the stdlib's source, run once more with thread.py in the place of _thread, so that it is
complete in each version of CPython and nothing of it has to be written again. Its threads are its
own: threading.enumerate() of the stdlib does not know them. Under monkey the stdlib's module itself
does what this one does.
"""

from __future__ import annotations

import _thread as _stdlib
import atexit
import builtins
import importlib.util
from types import CodeType, ModuleType, SimpleNamespace
from typing import Any

from . import thread

_NAMES = {
    **vars(_stdlib),
    **{name: getattr(thread, name) for name in thread.__implements__},
    "_ThreadHandle": thread.ThreadHandle,
    "_excepthook": thread.excepthook,
    "_set_sentinel": thread.set_sentinel,
    "_shutdown": thread.shutdown,
}


def _load() -> ModuleType:
    spec: Any = importlib.util.find_spec("threading")
    code: CodeType = spec.loader.get_code("threading")
    module = ModuleType(__name__, __doc__)
    in_place = {"_thread": SimpleNamespace(**_NAMES)}

    def find(name: str, *others: Any) -> Any:
        return in_place[name] if name in in_place else builtins.__import__(name, *others)

    vars(module)["__builtins__"] = {**vars(builtins), "__import__": find}
    exec(code, vars(module))
    return module


_module = _load()
if hasattr(_module, "_DummyThread"):
    _module._DummyThread = thread.dummy_class(_module._DummyThread)  # type: ignore[attr-defined]
if hasattr(_module.Thread, "_wait_for_tstate_lock"):
    _module.Thread._wait_for_tstate_lock = thread.wait_for_end
atexit.register(_module._shutdown)  # waits for those that are no daemons

__implements__: list[str] = []  # its names belong together: monkey.patch_thread()
__all__ = [*_module.__all__]


def __getattr__(name: str) -> Any:
    return getattr(_module, name)
