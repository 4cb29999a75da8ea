"""Who spawned whom, and what they all do: gevent's GreenletTree.

A tree for each thread that has coroutines, its main program at the root. A task hangs from who
spawned it, as long as that is there; others hang from their parents. There are those that live,
those that are about to start, and whoever spawned one of them. The coroutines of other threads are
looked at while they run: what is told of them may have changed a moment later.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pprint import pformat
from typing import Any

from . import _native, threads
from .coroutine import BROKEN_OFF, Coroutine, current
from .local import all_local_dicts_for_greenlet
from .loop import Loop
from .stacks import call_of, frame_of_thread, own_of, places_of, text_of
from .threads import Thread
from .timers import Timer

DETAILS: dict[str, Any] = {
    "running_stacks": True,
    "running_stack_limit": None,
    "spawning_stacks": True,
    "locals": True,
}


class GreenletTree:
    """A coroutine, `greenlet`, and the trees of those that it has spawned, `child_trees`. str()
    draws it; format() has the details. Attributes of the coroutine are also the tree's.
    `is_current_tree`: is it the root of the calling thread?"""

    DEFAULT_DETAILS = DETAILS

    def __init__(self, greenlet: Coroutine, is_current_tree: bool = False) -> None:
        self.greenlet = greenlet
        self.child_trees: list[GreenletTree] = []
        self.is_current_tree = is_current_tree

    @classmethod
    def forest(cls) -> list[GreenletTree]:
        """The trees of all threads, the calling one's first."""
        mine = current()._thread
        others = (thread for thread in threads.living() if thread is not mine)
        ordered = sorted(others, key=lambda thread: thread.ident)
        return [cls._of(thread, thread is mine) for thread in (mine, *ordered)]

    @classmethod
    def current_tree(cls) -> GreenletTree:
        """That of the calling thread."""
        return cls._of(current()._thread, True)

    @classmethod
    def _of(cls, thread: Thread, is_current: bool) -> GreenletTree:
        root = cls(thread.main, is_current)
        trees = {id(thread.main): root}
        for coroutine in _coroutines_of(thread):
            line: list[GreenletTree] = []  # from here up to who is in the tree already
            one: Coroutine | None = coroutine
            while one is not None and id(one) not in trees:
                tree = trees[id(one)] = cls(one)
                if line:
                    tree.add_child(line[-1])
                line.append(tree)
                one = _origin_of(one)
            if line:
                owner = root if one is None else trees[id(one)]
                (root if owner in line else owner).add_child(line[-1])  # a circle has no end
        return root

    def add_child(self, tree: GreenletTree) -> None:
        if tree is not self:
            self.child_trees.append(tree)

    @property
    def root(self) -> bool:
        """Is this a thread's main program?"""
        return self.greenlet.parent is None

    def __getattr__(self, name: str) -> Any:
        if name == "greenlet":  # not yet there: a copy is being made
            raise AttributeError(name)
        return getattr(self.greenlet, name)

    def __str__(self) -> str:
        return self.format(False)

    def format(self, details: bool | dict[str, Any] = True) -> str:
        """The tree as text; `details` says what of each: True for all, False for none, or a dict
        of what differs from DEFAULT_DETAILS, whose names are `running_stacks`,
        `running_stack_limit` (frames), `spawning_stacks` and `locals`. ValueError for others."""
        return "\n".join(self.format_lines(details))

    def format_lines(self, details: bool | dict[str, Any] = True) -> list[str]:
        """format(), in lines."""
        if isinstance(details, dict):
            unknown = details.keys() - DETAILS.keys()
            if unknown:
                raise ValueError(
                    f"there are no such details: {', '.join(sorted(map(str, unknown)))}"
                )
            return list(self._render({**DETAILS, **details}))
        return list(self._render(DETAILS if details else None))

    def _render(self, details: dict[str, Any] | None) -> Iterator[str]:
        """Depth first, without recursion: a long line of spawners is a deep tree."""
        stack: list[tuple[GreenletTree, str, str]] = [(self, "", "")]
        while stack:
            tree, first, rest = stack.pop()
            children = tree.child_trees
            yield first + label_of(tree.greenlet)
            if details is not None:
                bar = rest + (" |  " if children else "    ")
                for line in _details_of(tree.greenlet, details):
                    yield f"{bar}{line}".rstrip()
            for place, child in reversed(list(enumerate(children))):
                more = place < len(children) - 1
                stack.append((child, f"{rest} +-- ", f"{rest} {'|' if more else ' '}   "))


def _coroutines_of(thread: Thread) -> list[Coroutine]:
    """Those that live, and those that are to start."""
    found = {id(one): one for one in _native.thread_living(thread.main)}
    loop = thread.loop
    if loop is not None:
        # A list is made of a queue in one go; then the other thread may go on with it.
        for entry in (*list(loop.ready), *loop._timers):
            for one in (entry, *(getattr(entry, "args", None) or ())):
                if isinstance(one, Coroutine) and one._entry is not None:
                    found.setdefault(id(one), one)
    return [one for one in found.values() if one._thread is thread]


def _origin_of(coroutine: Coroutine) -> Coroutine | None:
    """Who has spawned it, if that is still there; or its parent, unless that is the loop, which
    has made none. Of the same thread."""
    spawner = getattr(coroutine, "spawning_greenlet", None)
    origin = spawner() if spawner is not None else None
    if origin is None:
        origin = coroutine._parent if not isinstance(coroutine._parent, Loop) else None
    if origin is None or origin._thread is not coroutine._thread:
        return None
    return origin


def label_of(coroutine: Coroutine) -> str:
    """One line, whatever its repr() is."""
    text = _safely(repr, coroutine)
    return " ".join(text.split())


def _safely(show: Any, thing: Any) -> str:
    """What shows it, or why that could not be: reports look at objects in any state."""
    try:
        return str(show(thing))
    except Exception as error:
        return f"<{type(thing).__name__} {id(thing):#x}: showing it raised {error!r}>"


def _details_of(coroutine: Coroutine, details: dict[str, Any]) -> Iterator[str]:
    parent = coroutine.parent
    if parent is not None:
        yield f"Parent: {label_of(parent)}"
    waits_for = coroutine._wait
    if isinstance(waits_for, Timer):
        left = waits_for.when - coroutine._thread.loop.clock()
        yield f"Waits for: {type(waits_for).__name__}, {left:.3f} s from now"
    elif waits_for is not None and waits_for is not BROKEN_OFF:
        yield f"Waits for: {_safely(repr, waits_for)}"
    if details["running_stacks"]:
        lines = _stack_of(coroutine, details["running_stack_limit"])
        if lines:
            yield "Running:" if _native.is_running(coroutine) else "Suspended:"
            yield from lines
    spawning_stack = getattr(coroutine, "spawning_stack", None)
    if spawning_stack is not None and details["spawning_stacks"]:
        yield "Spawned at:"
        yield from text_of(own_of(places_of(spawning_stack)))
    if details["locals"]:
        yield from _locals_of(coroutine)


def _locals_of(coroutine: Coroutine) -> Iterator[str]:
    notes: dict[Any, Any] = getattr(coroutine, "_notes", {})
    shared = notes.get("spawn_tree_locals")
    spawner = getattr(coroutine, "spawning_greenlet", lambda: None)()
    if shared and getattr(spawner, "_notes", {}).get("spawn_tree_locals") is not shared:
        yield "Spawn Tree Locals:"
        yield from _indented(_safely(pformat, shared))
    for (kind, number), attributes in all_local_dicts_for_greenlet(coroutine):
        if attributes:
            yield f"{kind} at {number:#x}:"
            yield from _indented(_safely(pformat, attributes))


def _stack_of(coroutine: Coroutine, limit: int | None) -> list[str]:
    """In lines; empty where it does not live."""
    if _native.is_running(coroutine):
        frame = frame_of_thread(coroutine._thread.ident)
    else:
        frame = coroutine.frame
    return text_of(own_of(places_of(call_of(frame), limit)))


def _indented(text: str) -> Iterable[str]:
    return (f"  {line}" for line in text.split("\n"))
