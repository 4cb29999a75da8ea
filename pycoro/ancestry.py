"""Who spawned whom: what tasks know of where they come from, under gevent's names.

The spawner is always known. The stack that it had then is kept where config.track_greenlet_tree is
on, for that costs more than spawning. `spawn_tree_locals` costs nothing until somebody uses them.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from sys import _getframe
from types import CodeType, FrameType
from typing import Any
from weakref import ref

spawn_callbacks: set[Callable[[Any], Any]] = set()
"""Called with each task that is told to start: Task.add_spawn_callback()."""


class Frame:
    """What is kept of a frame: enough for traceback.print_stack(). `f_globals` is None."""

    __slots__ = ("f_back", "f_code", "f_lineno")

    f_globals = None

    def __init__(self, code: CodeType, line: int) -> None:
        self.f_code = code
        self.f_lineno = line
        self.f_back: Frame | None = None


class Recording:
    """What is to be kept at each spawn. `on`: anything at all; `stacks`: the spawner's stack."""

    __slots__ = ("on", "stacks")

    def __init__(self) -> None:
        self.on = False
        self.stacks = False

    def record(self, task: Any, spawner: Any) -> None:
        notes = _notes_of(task)
        shared = getattr(spawner, "_notes", {}).get("spawn_tree_locals")
        if shared is not None and spawner._parent is not None:
            notes["spawn_tree_locals"] = shared
        if self.stacks:
            notes["spawning_stack"] = _copy_stack(_getframe(2), task.spawning_stack_limit)


recording = Recording()


class Spawned:
    """What tasks have. The class has a slot for `spawning_greenlet`, which is a weak reference to
    the coroutine that spawned it."""

    __slots__ = ()

    spawning_stack_limit = 10
    """Frames that are kept of the spawner's stack, at most."""

    spawning_greenlet: ref[Any]

    @property
    def spawn_tree_locals(self) -> dict[Any, Any]:
        """A dict that a task shares with all that it spawns, and they spawn; those that the main
        program spawns have one each."""
        line: list[Any] = []  # from here up to where there is one
        one: Any = self
        while one is not None and one._parent is not None:
            found: dict[Any, Any] | None = _notes_of(one).get("spawn_tree_locals")
            if found is not None:
                break
            line.append(one)
            spawner = getattr(one, "spawning_greenlet", None)
            one = spawner() if spawner is not None else None
        else:
            found = {}
        recording.on = True
        for one in line:
            _notes_of(one)["spawn_tree_locals"] = found
        return found

    @property
    def spawning_stack(self) -> Frame | None:
        """The innermost frame of the stack that it was spawned on: an object with f_code, f_lineno
        and f_back. None unless config.track_greenlet_tree was on."""
        frame: Frame | None = _notes_of(self).get("spawning_stack")
        return frame

    @property
    def minimal_ident(self) -> int:
        """A small number, unique among the living of its thread that were asked for theirs."""
        notes = _notes_of(self)
        ident = notes.get("minimal_ident")
        if ident is None:
            thread: Any = self._thread  # type: ignore[attr-defined]
            ident = notes["minimal_ident"] = (
                _notes_of(thread.main).setdefault("idents", Idents()).give(self)
            )
        return ident  # type: ignore[no-any-return]


class Idents:
    """Small numbers for objects, given anew once the object is gone."""

    def __init__(self) -> None:
        self._owners: dict[ref[Any], int] = {}
        self._free: list[int] = []

    def give(self, owner: Any) -> int:
        ident = heappop(self._free) if self._free else len(self._owners)
        self._owners[ref(owner, self._take_back)] = ident
        return ident

    def _take_back(self, owner: ref[Any]) -> None:
        heappush(self._free, self._owners.pop(owner))


def _notes_of(coroutine: Any) -> dict[Any, Any]:
    try:
        notes: dict[Any, Any] = coroutine._notes
    except AttributeError:
        notes = coroutine._notes = {}
    return notes


def _copy_stack(frame: FrameType | None, limit: int) -> Frame | None:
    while frame is not None and frame.f_globals.get("__package__") == __package__:
        frame = frame.f_back
    innermost = last = None
    while frame is not None and limit > 0:
        copy = Frame(frame.f_code, frame.f_lineno)
        if last is None:
            innermost = copy
        else:
            last.f_back = copy
        last, frame, limit = copy, frame.f_back, limit - 1
    return innermost
