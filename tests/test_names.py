"""gevent's public names, module by module: what is not here is told in docs/gevent.md, and listed.

And smaller things that programs use by these names, tested on both.
"""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from peers import Api

import pycoro.links

gevent = pytest.importorskip("gevent", reason="gevent is not installed for this Python")

MODULES = [
    *("backdoor", "baseserver", "contextvars", "event", "events", "exceptions", "fileobject"),
    *("hub", "local", "lock", "monkey", "os", "pool", "pywsgi"),
    *("queue", "select", "selectors", "server", "signal", "socket", "ssl"),
    *("subprocess", "thread", "threading", "threadpool", "time", "timeout", "util"),
]

# Interfaces of zope's, what is for other Pythons, and what a module lists by mistake.
LEFT_OUT = {
    "events": r"I[A-Z].*|MemoryUsage.*",
    "ssl": "wrap_socket",  # the stdlib's own, up to 3.11
    "subprocess": "_posixsubprocess",
    "threading": "LazyOnClass|PY313|allocate_lock|getcurrent|main_native_thread|os|sys|start_.*",
}


@pytest.mark.parametrize("name", ["", *MODULES])
def test_no_public_name_is_missing(name: str) -> None:
    theirs = importlib.import_module(f"gevent.{name}" if name else "gevent")
    if name == "pywsgi":
        pytest.importorskip("httptools", reason="the extra `wsgi` is not installed")
    ours = importlib.import_module(f"pycoro.{name}" if name else "pycoro")
    missing = [one for one in getattr(theirs, "__all__", ()) if not hasattr(ours, one)]
    left_out = LEFT_OUT.get(name, "")
    assert [one for one in missing if not re.fullmatch(left_out, one)] == []


def test_modules_that_the_package_brings_along() -> None:
    names = ("event", "exceptions", "hub", "timeout")
    for package in ("gevent", "pycoro"):
        code = f"import {package}; print({{*{names}}} - {{*dir({package})}})"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.stdout == "set()\n"


CLASSES = {
    "Greenlet": "GreenletExit error getcurrent gettrace settrace",  # greenlet's
    "event.Event": "hub",
    "event.AsyncResult": "hub",
    "lock.Semaphore": "hub",
    "lock.BoundedSemaphore": "hub",
    "lock.RLock": "",
    "local.local": "",
    "pool.Group": "",
    "pool.Pool": "",
    "queue.JoinableQueue": "hub",
    "queue.PriorityQueue": "hub",
    "queue.Channel": "hub next",
    "server.StreamServer": "",
    "server.DatagramServer": "",
    "threadpool.ThreadPool": "fork_watcher manager pid task_queue",
    "threadpool.ThreadPoolExecutor": "",
    "hub.Waiter": "",
}


@pytest.mark.parametrize("where", CLASSES)
def test_no_public_attribute_is_missing(where: str) -> None:
    theirs, ours = _find("gevent", where), _find("pycoro", where)
    missing = {one for one in dir(theirs) if not one.startswith("_") and not hasattr(ours, one)}
    assert sorted(missing - set(CLASSES[where].split())) == []


def _find(package: str, where: str) -> Any:
    module, _, name = where.rpartition(".")
    return getattr(importlib.import_module(f"{package}.{module}".rstrip(".")), name)


def test_a_link_of_ones_own_making(api: Api) -> None:
    made: list[Any] = []
    log: list[Any] = []
    home = pycoro.links if api.name == "pycoro" else importlib.import_module("gevent.greenlet")

    class Link(home.SpawnedLink):  # type: ignore[name-defined, misc]
        def __init__(self, callback: Any) -> None:
            super().__init__(callback)
            made.append(callback)

    def fail() -> None:
        raise api.GreenletExit  # ends it, and is no error

    task = api.spawn(fail)
    for link in (task.link, task.link_value, task.link_exception):
        link(log.append, SpawnedLink=Link)
    task.join()
    api.settle()
    assert made == [log.append] * 3
    assert log == [task] * 3


def test_a_file_that_blocks(api: Api, tmp_path: Path) -> None:
    with api.fileobject.FileObjectBlock(tmp_path / "file", "w") as file:
        file.write("one\ntwo\n")
    with api.fileobject.FileObjectBlock(tmp_path / "file") as file:
        assert list(file) == ["one\n", "two\n"]


def test_select_and_waits_by_keywords(api: Api) -> None:
    one, other = api.socket.socketpair()
    with one, other:
        other.sendall(b"x")
        ready = api.select.select(rlist=[one], wlist=[], xlist=[], timeout=5)
        assert ready == ([one], [], [])
        api.socket.wait_read(fileno=one.fileno(), timeout=5)
        api.socket.wait_write(fileno=one.fileno(), timeout=5)


def test_a_pool_of_threads_can_be_told_to_adjust(api: Api) -> None:
    pool = api.threadpool.ThreadPool(1)
    pool.adjust()
    assert pool.apply(int, ("7",)) == 7
    pool.kill()


def test_exceptions_are_of_the_classes_that_programs_catch(api: Api) -> None:
    for name in ("BlockingSwitchOutError", "ConcurrentObjectUseError", "InvalidSwitchError"):
        assert issubclass(getattr(api.exceptions, name), AssertionError)
