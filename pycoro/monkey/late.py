"""What was imported before the patch and holds an original: put right where possible, else told.

A module that did `from time import sleep` gets the replacement under that name. A lock that nobody
holds, and a thread-local, is replaced where it lies. What cannot be changed: a class derived from
an original, objects of one, threads that run, locks that are held, and what is hidden in closures.
"""

from __future__ import annotations

import atexit
import gc
import sys
import threading
from collections import Counter
from collections.abc import Callable
from types import ModuleType
from typing import Any

from .. import thread
from ..fileobject import FileObjectThread
from ..local import local

_REAL_LOCK = thread.RealLock
_REAL_RLOCK = thread.RealRLock
_REAL_LOCAL = thread.RealLocal
_RENEWED = (_REAL_LOCK, _REAL_RLOCK, _REAL_LOCAL)
_OURS = ("pycoro", "gevent", "greenlet", "eventlet")  # they keep originals on purpose
_done: list[tuple[dict[str, Any], str, Any]] = []  # where a name was changed, and what it was
_left: list[str] = []  # what could not be put right


class MonkeyPatchWarning(RuntimeWarning):
    """Something was imported too early for the patch to reach it."""


def _modules() -> list[ModuleType]:
    return [
        module
        for name, module in list(sys.modules.items())
        if isinstance(module, ModuleType) and name.partition(".")[0] not in _OURS
    ]


def repair(
    originals: dict[tuple[str, str], Any], replacements: dict[int, tuple[Any, Any]]
) -> list[str]:
    """Gives modules that hold an original by name the replacement. What could not be done: a
    sentence each."""
    patched = {where.partition(":")[0] for where, _ in originals}
    for module in _modules():
        names = vars(module)
        for name, value in list(names.items()):
            pair = replacements.get(id(value))
            if pair is not None and module.__name__ not in patched and callable(value):
                _done.append((names, name, value))
                names[name] = pair[1]
    found: list[str] = []
    counts = Counter(map(type, gc.get_objects()))
    kinds = {kind: n for kind, n in counts.items() if kind.__mro__}  # None: the collector ended it
    for old, new in replacements.values():
        if not isinstance(old, type):
            continue
        harm = "is shared by all tasks of a thread" if old is _REAL_LOCAL else "blocks all tasks"
        subclasses: list[Any] = type.__subclasses__(old)
        found += [
            f"{kind.__module__}.{kind.__qualname__} was derived from {old.__name__} before the "
            f"patch: it {harm}. Call monkey.patch_all() before that import"
            for kind in subclasses
            if kind.__module__.partition(".")[0] not in (*_OURS, "asyncio", "ssl")
        ]
        count = sum(
            n for kind, n in kinds.items() if old in kind.__mro__ and new not in kind.__mro__
        )
        # Of the interpreter's own, the collector does not know all; or they are renewed.
        if count and old.__module__ not in ("_thread", "select", "threading"):
            found.append(
                f"{count} {old.__name__} object(s) were made before the patch: they block all "
                "tasks. Call monkey.patch_all() first of all, in the main module"
            )
    _left.extend(found)
    return found


def renew(originals: dict[tuple[str, str], Any]) -> list[str]:
    """Replaces real locks that nobody holds, and thread-locals, where they lie in modules and in
    objects' attributes, so that tasks that wait for them let others run, or have their own. What
    could not be done: a sentence each."""
    if ("threading", "Lock") not in originals:
        return []
    thread.renew_main_thread()
    things = [one for one in gc.get_objects() if type(one) in _RENEWED]
    known = {id(one): one for one in things}
    new: dict[int, Any] = {}
    held = 0
    for holder in _holders(things):
        for name, value in list(holder.items()):
            if id(value) not in known or not isinstance(name, str):
                continue
            if type(value) is not _REAL_LOCAL and _is_held(value):
                if name != "_tstate_lock":  # a thread's, held as long as that runs
                    held += 1
                continue
            if id(value) not in new:
                new[id(value)] = _twin(value)
            _done.append((holder, name, value))
            holder[name] = new[id(value)]
    _renew_methods(new)
    found = []
    if held:
        found.append(
            f"{held} lock(s) were held while patching: they stay real, and who waits for them "
            "blocks all tasks. Call monkey.patch_all() first of all, in the main module"
        )
    running = [
        one.name
        for one in threading.enumerate()
        if one is not threading.main_thread() and one.ident is not None
    ]
    if running:
        found.append(
            f"threads run already: {', '.join(running)}. They stay real threads; a task that joins "
            "one blocks all tasks"
        )
    _left.extend(found)
    return found


def _twin(value: Any) -> Any:
    if type(value) is _REAL_LOCAL:
        ours = local()
        ours.__dict__.update(value.__dict__)  # the calling thread's
        return ours
    return thread.RLock() if type(value) is _REAL_RLOCK else thread.LockType()


def report() -> list[str]:
    """What was found and done, a sentence each."""
    names: dict[str, set[str]] = {}
    renewed: dict[int, Any] = {}
    for holder, _, value in _done:
        if type(value) in _RENEWED:
            renewed[id(value)] = value
        elif value.__module__ != holder["__name__"]:  # else it is at home there
            what = f"{value.__module__}.{value.__name__}"
            names.setdefault(what, set()).add(holder["__name__"])
    sentences = [
        f"{what} was imported by name before the patch: replaced in {', '.join(sorted(modules))}"
        for what, modules in sorted(names.items())
    ]
    counts = Counter(type(value).__name__ for value in renewed.values())
    sentences += [
        f"{count} {kind} object(s) were made before the patch: replaced where they lay"
        for kind, count in sorted(counts.items())
    ]
    return sentences + _left


def _holders(locks: list[Any]) -> list[dict[str, Any]]:
    """The dictionaries of modules and of objects that have one of them as an attribute."""
    found: dict[int, dict[str, Any]] = {}
    skip = {id(locks)}
    for referrer in gc.get_referrers(*locks) if locks else ():
        if id(referrer) in skip:
            continue
        names = referrer if type(referrer) is dict else getattr(referrer, "__dict__", None)
        if type(names) is dict and not _is_ours(names, referrer):
            found[id(names)] = names
    return list(found.values())


def _is_ours(names: dict[str, Any], owner: Any) -> bool:
    module = names.get("__name__") if "__spec__" in names else type(owner).__module__
    return str(module).partition(".")[0] in (*_OURS, "importlib", "_frozen_importlib")


def _is_held(lock: Any) -> bool:
    if not lock.acquire(False):
        return True
    lock.release()
    return bool(getattr(lock, "_is_owned", bool)())


def _renew_methods(new: dict[int, Any]) -> None:
    """A Condition keeps its lock's methods as attributes of its own."""
    for condition in [one for one in gc.get_objects() if isinstance(one, threading.Condition)]:
        lock = vars(condition).get("_lock")
        if not any(lock is one for one in new.values()):
            continue
        waiters = vars(condition).get("_waiters")
        for name in ("acquire", "release", "_release_save", "_acquire_restore", "_is_owned"):
            vars(condition).pop(name, None)
        threading.Condition.__init__(condition, lock)
        if waiters:
            condition._waiters = waiters  # type: ignore[attr-defined]


def patch_sys(names: list[str], replace: Callable[[str, str, Any], None]) -> None:
    for name in names:
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, FileObjectThread):
            replace("sys", name, FileObjectThread(stream))
    atexit.unregister(give_back_streams)
    atexit.register(give_back_streams)


def give_back_streams() -> None:
    """At the end of the process: it flushes them when no thread can be asked any more."""
    for name in ("stdin", "stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, FileObjectThread):
            setattr(sys, name, stream.io)


def undo() -> None:
    """Puts names and locks back into where they were."""
    locks: dict[int, Any] = {}
    _left.clear()
    while _done:
        names, name, value = _done.pop()
        names[name] = value
        if type(value) in _RENEWED:
            locks[id(value)] = value
    _renew_methods(locks)
