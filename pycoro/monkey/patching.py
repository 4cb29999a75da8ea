"""Puts replacements into the stdlib's modules, and takes them out again, by gevent.monkey's names.

table.py says what is replaced by what, late.py looks after what was imported before. Subscribers of
events.py are told before and after, as gevent's are, and may have things left as they are.
"""

from __future__ import annotations

import importlib
import sys as _sys
import warnings
from collections.abc import Callable, Iterable
from typing import Any

from .. import events, processes
from . import late
from .blocked import Audit
from .late import MonkeyPatchWarning
from .table import TABLE

_audits: list[Audit] = []  # of patch_all()
_originals: dict[tuple[str, str], Any] = {}  # (where, name) -> what was there before
_NOTHING = object()  # there was no such name

# By module, the parts of the table that patch it.
PARTS_OF = {
    **{name: [name] for name in ("os", "queue", "select", "ssl", "subprocess", "time")},
    "selectors": ["select"],
    "socket": ["socket", "dns"],
    "_thread": ["thread"],
    "threading": ["thread"],
}


def patch(name: str) -> None:
    """Applies one part of the table; does nothing the second time. Errors: ValueError for a part
    that does not exist."""
    if name not in TABLE:
        raise ValueError(f"there is no patch {name!r}: choose from {', '.join(TABLE)}")
    _patch_rows(name, TABLE[name])


def _patch_rows(part: str, rows: list[tuple[str, str, Any]]) -> None:
    by_module: dict[str, list[tuple[str, str, Any]]] = {}
    for row in rows:
        if row[:2] not in _originals:
            by_module.setdefault(row[0].partition(":")[0], []).append(row)
    for module, its_rows in by_module.items():
        _patch_one(module, part, its_rows)


def _patch_one(module: str, part: str, rows: list[tuple[str, str, Any]]) -> None:
    """Of a module, what is in these rows, unless a subscriber is against it."""
    target, source = importlib.import_module(module), _sys.modules.get(f"pycoro.{part}")
    items = [attribute for _, attribute, _ in rows]
    try:
        events.notify(events.GeventWillPatchModuleEvent(module, source, target, items))
    except events.DoNotPatch:
        return
    for where, attribute, replacement in rows:
        if attribute in items:
            _replace(where, attribute, replacement)
    events.notify(events.GeventDidPatchModuleEvent(module, source, target))


def _replace(where: str, attribute: str, replacement: Any) -> None:
    owner = _find(where)
    if (where, attribute) in _originals or attribute not in vars(owner):
        return
    _originals[where, attribute] = vars(owner)[attribute]
    setattr(owner, attribute, replacement)


def patch_socket(dns: bool = True, aggressive: bool = True) -> None:
    """socket, and the look-up of names with it."""
    patch("socket")
    if dns:
        patch("dns")


def patch_dns() -> None:
    """The look-up of names and addresses in socket."""
    patch("dns")


def patch_ssl() -> None:
    """The sockets that ssl.SSLContext makes."""
    patch("ssl")


def patch_time() -> None:
    """time.sleep"""
    patch("time")


def patch_select(aggressive: bool = True) -> None:
    """select.select, select.poll, select.epoll and the selectors."""
    patch("select")


patch_selectors = patch_select


def patch_os() -> None:
    """os.waitpid. os.fork needs no patch: see Loop.after_fork()."""
    patch("os")


def patch_subprocess() -> None:
    """subprocess.Popen, and with it the functions that use it."""
    patch("subprocess")


def patch_queue() -> None:
    """queue.SimpleQueue; the other queues are made of threading's locks."""
    patch("queue")


def patch_multiprocessing() -> None:
    """multiprocessing's pipes and locks, and with these its queues and pools: those that are made
    from then on. Not by default: see processes.py for what is then to be kept in mind."""
    if not is_object_patched("multiprocessing.connection:Connection", "_recv"):
        _patch_rows("multiprocessing", processes.rows())


def patch_thread(
    threading: bool = True,
    _threading_local: bool = True,
    Event: bool = True,  # noqa: N803 - gevent's names
    logging: bool = True,
    existing_locks: bool = True,
) -> None:
    """_thread and threading: a new thread is a task. The arguments are there for gevent's callers;
    with existing_locks, locks from before are replaced where that can be done."""
    patch("thread")
    if existing_locks:
        _warn(late.renew(_originals))


def patch_signal() -> None:
    """Does nothing: children are waited for without SIGCHLD, so signal is left alone."""


def patch_builtins() -> None:
    """Does nothing: importing waits for nobody."""


def patch_contextvars() -> None:
    """Does nothing: each coroutine has a context of its own."""


def patch_sys(stdin: bool = True, stdout: bool = True, stderr: bool = True) -> None:
    """sys.stdin and so on become files whose calls are made in threads."""
    late.patch_sys([name for name, wanted in _names(stdin, stdout, stderr) if wanted], _replace)


def _names(stdin: bool, stdout: bool, stderr: bool) -> Iterable[tuple[str, bool]]:
    return (("stdin", stdin), ("stdout", stdout), ("stderr", stderr))


def patch_all(
    socket: bool = True,
    dns: bool = True,
    time: bool = True,
    select: bool = True,
    thread: bool = True,
    os: bool = True,
    ssl: bool = True,
    subprocess: bool = True,
    sys: bool = False,
    aggressive: bool = True,
    Event: bool = True,  # noqa: N803 - gevent's name
    builtins: bool = True,
    signal: bool = True,
    queue: bool = True,
    contextvars: bool = True,
    audit: float | bool = False,
    multiprocessing: bool = False,
    **others: Any,
) -> bool:
    """All of them, or those that are not excluded by False. What was imported before and holds an
    original by name is given the replacement where that can be done; a MonkeyPatchWarning tells of
    what cannot be. `audit`: audit(), of so many seconds, or by default where that is True; until
    unpatch_all(). `others` are for subscribers of events.py. False where one of these has raised
    DoNotPatch."""
    chosen = {"os": os, "time": time, "thread": thread, "socket": socket, "dns": dns, "ssl": ssl}
    chosen |= {"select": select, "subprocess": subprocess, "queue": queue}
    more = {"sys": sys, "builtins": builtins, "signal": signal, "contextvars": contextvars}
    more["multiprocessing"] = multiprocessing
    arguments = chosen | more | {"aggressive": aggressive, "Event": Event}
    try:
        events.notify(events.GeventWillPatchAllEvent(arguments, others))
    except events.DoNotPatch:
        return False
    for name, wanted in chosen.items():
        if wanted:
            patch(name)
    if sys:
        patch_sys()
    if multiprocessing:
        patch_multiprocessing()
    _warn(late.repair(_originals, _replacements()) + (late.renew(_originals) if thread else []))
    if audit:
        _audits.append(Audit() if audit is True else Audit(audit))
    events.notify(events.GeventDidPatchBuiltinModulesEvent(arguments, others))
    events.notify(events.GeventDidPatchAllEvent(arguments, others))
    return True


def _warn(sentences: list[str]) -> None:
    for sentence in sentences:
        warnings.warn(sentence, MonkeyPatchWarning, stacklevel=3)


def report() -> list[str]:
    """What was imported before the patch and held an original, and what was done about it: a
    sentence each. What could not be put right has been warned of as well."""
    return late.report()


def audit(seconds: float = 0.1, write: Callable[[str], object] | None = None) -> Audit:
    """Tells, on stderr or by write(text), of whatever blocks the calling thread's loop for more
    than `seconds` in spite of the patches: with its stack as it happens, the first time for each
    place, and summed up at the end of the process or at the Audit's stop(). What is over within
    half as much again may go unnoticed. Errors: TypeError, ValueError for what is no time."""
    return Audit(seconds, write)


def _replacements() -> dict[int, tuple[Any, Any]]:
    """Original and replacement of all that is patched, by id() of the original."""
    rows = {(where, name): new for part in TABLE.values() for where, name, new in part}
    return {id(old): (old, rows[key]) for key, old in _originals.items() if key in rows}


def patch_module(
    target_module: Any, source_module: Any, items: Iterable[str] | None = None
) -> bool:
    """Puts the `items` of the source module, or all that it lists in __implements__, into the
    target module. For a module of the standard library and ours that stands for it: patch(). The
    source's _gevent_will_monkey_patch(target, items, warn) is called before, and
    _gevent_did_monkey_patch() after that. False where that, or a subscriber, has raised DoNotPatch.
    Errors: AttributeError for an item that is not there, and for a source without __implements__
    where no items are given."""
    name = target_module.__name__
    if items is None and source_module.__name__ == f"pycoro.{name.lstrip('_')}":
        for part in PARTS_OF.get(name, ()):
            patch(part)
        return True
    names = list(getattr(source_module, "__implements__", ()) if items is None else items)
    if not names:
        raise AttributeError(
            f"{source_module.__name__} has no __implements__: say which items are to be patched"
        )
    try:
        _call_hook(source_module, "will", target_module, names)
        events.notify(events.GeventWillPatchModuleEvent(name, source_module, target_module, names))
    except events.DoNotPatch:
        return False
    for new in [(each, getattr(source_module, each)) for each in names]:
        patch_item(target_module, *new)
    _call_hook(source_module, "did", target_module, names)
    events.notify(events.GeventDidPatchModuleEvent(name, source_module, target_module))
    return True


def _call_hook(source: Any, when: str, target: Any, items: list[str]) -> None:
    hook = getattr(source, f"_gevent_{when}_monkey_patch", None)
    if hook is not None:
        hook(target, items, lambda sentence: _warn([sentence]))


def patch_item(module: Any, attr: str, newitem: Any) -> None:
    """Replaces a name of a module, or gives it a new one; get_original() and unpatch_all() know of
    that."""
    _keep(module, attr)
    setattr(module, attr, newitem)


def remove_item(module: Any, attr: str) -> None:
    """Takes a name out of a module, if it is there, until unpatch_all()."""
    if hasattr(module, attr):
        _keep(module, attr)
        delattr(module, attr)


def _keep(module: Any, attribute: str) -> None:
    key = (module.__name__, attribute)
    if key not in _originals:
        _originals[key] = getattr(module, attribute, _NOTHING)


def unpatch_all() -> None:
    """Puts the originals back. For tests: who holds a replacement keeps it, and locks and threads
    that are tasks stay so."""
    for (where, attribute), original in list(_originals.items()):
        if original is _NOTHING:
            delattr(_find(where), attribute)
        else:
            setattr(_find(where), attribute, original)
        del _originals[where, attribute]
    late.undo()
    while _audits:
        _audits.pop().stop()


def get_original(mod_name: str | Iterable[str], item_name: str | Iterable[str]) -> Any:
    """What the module's name stood for before it was patched; for several names, a list. Of several
    modules the first that can be imported. Errors: AttributeError, ImportError."""
    if not isinstance(mod_name, str):
        *others, last = mod_name
        for each in others:
            try:
                return get_original(each, item_name)
            except ImportError:
                pass
        return get_original(last, item_name)
    if not isinstance(item_name, str):
        return [get_original(mod_name, each) for each in item_name]
    original = _originals.get((mod_name, item_name), _NOTHING)
    if original is _NOTHING:
        return getattr(importlib.import_module(mod_name), item_name)
    return original


def all_originals() -> dict[str, dict[str, Any]]:
    """What all names that are replaced stood for: {module: {name: original}}."""
    saved: dict[str, dict[str, Any]] = {}
    for (where, attribute), original in _originals.items():
        saved.setdefault(where.partition(":")[0], {})[attribute] = original
    return saved


def is_module_patched(mod_name: str) -> bool:
    """Is any name of it replaced?"""
    return any(where.partition(":")[0] == mod_name for where, _ in _originals)


def is_object_patched(mod_name: str, item_name: str) -> bool:
    """Is this name of the module replaced?"""
    return (mod_name, item_name) in _originals


def is_anything_patched() -> bool:
    """Is any name of any module replaced?"""
    return bool(_originals)


def _find(where: str) -> Any:
    module, _, inner = where.partition(":")
    owner = importlib.import_module(module)
    return getattr(owner, inner) if inner else owner
