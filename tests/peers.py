"""One behaviour test, two implementations: the fixture `api` is pycoro, then gevent.

`api.spawn`, `api.sleep`, `api.Timeout` and so on are the package's own; `api.event`, `api.lock`,
`api.queue`, `api.pool` are its modules; `api.LoopExit` and other names are found wherever the
package has them. `api.name` tells which it is, for the few places where they differ by choice.

Each has a hub of its own, and one test runs on one of them. At its end, a test must have left no
task of api.spawn() behind, and in pycoro's loop no coroutine, callback or timer.
"""

from __future__ import annotations

import importlib
import types
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

import pycoro
from pycoro import _native

# Where else to look for a name that the package itself does not have.
HOMES = {
    "pycoro": ("errors", "loop", "task", "tasks", "timeout", "waiting"),
    "gevent": ("exceptions", "hub", "greenlet", "timeout"),
}


class Api:
    """One of the two."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._package = importlib.import_module(name)
        self._spawned: weakref.WeakSet[Any] = weakref.WeakSet()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            thing = getattr(self._package, name)
        except AttributeError:
            thing = self._find(name)
        if isinstance(thing, types.FunctionType | types.MethodType | type):
            setattr(self, name, thing)
        return thing

    def _find(self, name: str) -> Any:
        try:
            return importlib.import_module(f"{self.name}.{name}")
        except ModuleNotFoundError:
            pass
        for home in HOMES[self.name]:
            try:
                module = importlib.import_module(f"{self.name}.{home}")
            except ModuleNotFoundError:
                continue
            if hasattr(module, name):
                return getattr(module, name)
        raise AttributeError(f"{self.name} has no {name}")

    @property
    def is_gevent(self) -> bool:
        return self.name == "gevent"

    def spawn(self, *args: Any, **kwargs: Any) -> Any:
        task = self._package.spawn(*args, **kwargs)
        self._spawned.add(task)
        return task

    def spawn_later(self, *args: Any, **kwargs: Any) -> Any:
        task = self._package.spawn_later(*args, **kwargs)
        self._spawned.add(task)
        return task

    def settle(self, turns: int = 3) -> None:
        """Lets all that can run do so until it waits: gevent needs some more turns for what it
        notifies of by callbacks."""
        for _ in range(turns):
            self.sleep(0)

    def end(self) -> list[str]:
        """Ends what the test has left behind, and says what that was."""
        left = [task for task in self._spawned if not task.ready()]
        names = sorted(map(repr, left))  # before they end
        self.killall(left, block=True, timeout=5)
        return names

    def __repr__(self) -> str:
        return f"<Api of {self.name}>"


def _coroutines() -> set[Any]:
    return set(_native.thread_suspended())


def _state_of_loop() -> list[str]:
    """What there is still to do in pycoro's loop, which stays when nothing is."""
    loop = pycoro.get_loop()
    left = [f"ready: {entry!r}" for entry in loop.ready if entry is not loop._turn]
    left += [f"timer: {timer!r}" for timer in loop._timers]
    left += [f"error for {coroutine!r}: {errors}" for coroutine, errors in loop.errors.items()]
    left += [f"put off for {coroutine!r}: {errors}" for coroutine, errors in loop._later.items()]
    left += [f"{loop.cancelling} cancelled scopes"] if loop.cancelling else []
    left += [f"stale wake for {coroutine!r}" for coroutine in loop._stale]
    return left


@pytest.fixture
def clean_loop() -> Iterator[None]:
    """The test leaves nothing in pycoro's loop of the main thread."""
    pycoro.sleep(0)
    before = _coroutines()
    yield
    pycoro.sleep(0)
    left = [repr(one) for one in _coroutines() - before] + _state_of_loop()
    if left:
        pytest.fail(f"left behind in the loop: {left}")


@pytest.fixture(params=["pycoro", "gevent"])
def api(request: pytest.FixtureRequest) -> Iterator[Api]:
    """pycoro, then gevent; that is skipped where it is not installed."""
    if request.param == "gevent":
        pytest.importorskip("gevent", reason="gevent is not installed for this Python")
    else:
        request.getfixturevalue("clean_loop")
    one = Api(request.param)
    yield one
    left = one.end()
    if left:
        pytest.fail(f"tasks left behind: {left}")
