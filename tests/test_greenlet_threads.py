"""Greenlets and threads, the end of threads and of the process; against greenlet (PyPI)."""

from __future__ import annotations

import gc
import threading
import time
from typing import Any

import greenlet
import pytest
from helpers import Log, in_thread, needs_reuse, output_of

import pycoro.greenlet
from pycoro import _native

pytestmark = pytest.mark.usefixtures("quick_collections")

BOTH = pytest.mark.parametrize("api", [greenlet, pycoro.greenlet], ids=["greenlet", "pycoro"])


def suspended(api: Any, log: Log) -> Any:
    """A greenlet that tells of its end."""
    main = api.getcurrent()

    def run() -> None:
        try:
            main.switch()
        except BaseException as error:
            log.append(type(error).__name__)
            raise
        finally:
            log.append(threading.get_ident())

    one = api.greenlet(run)
    one.switch()
    return one


def wait_for_the_end(one: Any) -> None:
    """A thread has been joined; what greenlet notices of that comes a little later."""
    deadline = time.monotonic() + 10
    while not one.dead and time.monotonic() < deadline:
        time.sleep(0.001)


@BOTH
@pytest.mark.parametrize("where", ["in a variable", "in local data", "in older local data"])
def test_the_end_of_a_thread_unwinds_what_it_alone_refers_to(api: Any, where: str) -> None:
    log: Log = []
    local = threading.local()

    def body() -> int:
        if where == "in older local data":
            local.older = 1
        api.getcurrent()
        one = suspended(api, log)
        if where != "in a variable":
            local.one = one
        assert log == []
        return threading.get_ident()

    ident = in_thread(body)
    assert log == ["GreenletExit", ident]


@BOTH
def test_what_others_refer_to_is_stranded(api: Any) -> None:
    log: Log = []
    one, main = in_thread(lambda: (suspended(api, log), api.getcurrent()))
    wait_for_the_end(main)
    assert log == []
    assert main.dead and not main
    assert repr(main).endswith("(thread exited) dead>")
    assert one.gr_frame is None or one.gr_frame.f_code.co_name == "run"
    for use in (one.switch, one.throw, main.switch):
        with pytest.raises(api.error, match=r"^cannot switch to a different thread .which happens"):
            use()
    assert one.dead and not one
    with pytest.raises(RuntimeError if one.gr_frame else AttributeError):
        one.gr_frame.clear()
    one.gr_context = None
    del one, main
    gc.collect()
    assert log == []


@BOTH
def test_dropped_in_another_thread_it_is_unwound_in_its_own(api: Any) -> None:
    log: Log = []
    given: list[Any] = []
    dropped, checked = threading.Event(), threading.Event()

    def body() -> int:
        given.append(suspended(api, log))
        ready.set()
        dropped.wait(10)
        assert log == []
        api.getcurrent()
        return threading.get_ident()

    ready = threading.Event()
    result: list[int] = []
    thread = threading.Thread(target=lambda: result.append(body()))
    thread.start()
    ready.wait(10)
    given.clear()
    gc.collect()
    assert log == []
    dropped.set()
    thread.join(10)
    checked.set()
    assert log == ["GreenletExit", result[0]]


@BOTH
def test_dropped_in_another_thread_while_it_runs_on(api: Any) -> None:
    """A thread that switches on and on notices by its next switch."""
    log: Log = []
    given: list[Any] = []
    ready, dropped = threading.Event(), threading.Event()

    def body() -> bool:
        other = api.greenlet(lambda: [api.getcurrent().parent.switch() for _ in range(9)])
        given.append(suspended(api, log))
        ready.set()
        dropped.wait(10)
        other.switch()
        return log[:1] == ["GreenletExit"]

    result: list[bool] = []
    thread = threading.Thread(target=lambda: result.append(body()))
    thread.start()
    ready.wait(10)
    given.clear()
    dropped.set()
    thread.join(10)
    assert result == [True]


@BOTH
def test_a_greenlet_that_has_not_started_belongs_to_its_parents_thread(api: Any) -> None:
    main = api.getcurrent()
    one = api.greenlet(lambda: "ran")

    def elsewhere() -> str:
        with pytest.raises(api.error, match="Cannot switch to a different thread"):
            one.switch()
        one.parent = api.getcurrent()
        return str(one.switch())

    assert in_thread(elsewhere) == "ran"
    assert one.dead
    other = api.greenlet(lambda: main.switch("back"))
    assert other.switch() == "back"
    with pytest.raises(ValueError, match=r"^parent cannot be on a different thread$"):
        other.parent = in_thread(api.getcurrent)
    other.switch()


@BOTH
def test_a_context_of_one_that_runs_elsewhere_is_not_to_be_had(api: Any) -> None:
    ready, done = threading.Event(), threading.Event()
    given: list[Any] = []

    def body() -> None:
        given.append(api.getcurrent())
        ready.set()
        done.wait(10)

    thread = threading.Thread(target=body)
    thread.start()
    ready.wait(10)
    try:
        with pytest.raises(ValueError, match=r"^cannot get context of a greenlet that is running"):
            given[0].gr_context
        with pytest.raises(ValueError, match=r"^cannot set context of a greenlet that is running"):
            given[0].gr_context = None
        assert given[0].gr_frame is None
    finally:
        done.set()
        thread.join(10)


@BOTH
def test_tracers_are_each_threads_own(api: Any) -> None:
    seen: Log = []
    former = api.settrace(lambda *args: seen.append("here"))
    try:

        def elsewhere() -> Any:
            api.greenlet(lambda: None).switch()
            return api.gettrace()

        assert in_thread(elsewhere) is None
        assert seen == []
        api.greenlet(lambda: None).switch()
        assert seen == ["here", "here"]
    finally:
        api.settrace(former)


@needs_reuse
def test_stacks_of_stranded_greenlets_are_used_again() -> None:
    def body() -> list[Any]:
        return [suspended(pycoro.greenlet, []) for _ in range(50)]

    before = _native.count_in_use()
    for _ in range(3):
        ones = in_thread(body)
        wait_for_the_end(ones[0])
        assert _native.count_in_use() == before + 50
        ones.clear()
        assert _native.count_in_use() == before


def test_stacks_of_stranded_greenlets_with_more_on_them_are_left_alone() -> None:
    def body() -> Any:
        main = pycoro.greenlet.getcurrent()
        one = pycoro.greenlet.greenlet(lambda: sorted([1], key=lambda _: main.switch()))
        one.switch()
        return one

    one = in_thread(body)
    wait_for_the_end(one)
    frame = one.gr_frame
    before = _native.count_in_use()
    del one
    assert _native.count_in_use() == before
    assert frame.f_back.f_code.co_name == "<lambda>"


END = """
    import os, sys, threading
    import {module} as api

    main = api.getcurrent()
    log = []

    def run(name):
        try:
            main.switch(name)
        finally:
            print("unwound", name, flush=True)

    kept = api.greenlet(run)
    print(kept.switch("kept"))
    dropped = api.greenlet(run)
    print(dropped.switch("dropped"))
    del dropped
    cycle = api.greenlet(run)
    cycle.itself = cycle
    print(cycle.switch("a cycle"))

    class Late:
        def __del__(self, getcurrent=api.getcurrent, kept=kept, tell=os.write):
            try:
                getcurrent()
            except RuntimeError as error:
                tell(1, str(error).encode() + b"\\n")
            tell(1, repr(kept.dead).encode())

    threading.late = Late()
"""


def test_the_end_of_the_process_unwinds_nothing() -> None:
    theirs, ours = (
        output_of(END.format(module=module)) for module in ("greenlet", "pycoro.greenlet")
    )
    assert ours == theirs
    assert "unwound kept" not in ours


def test_exit_from_a_greenlet() -> None:
    code = """
        import sys
        import {module} as api

        def run():
            try:
                sys.exit("said by the greenlet")
            finally:
                print("unwound")

        def outer():
            api.greenlet(run).switch()

        try:
            api.greenlet(outer).switch()
        except SystemExit as error:
            print(error)
        """
    theirs, ours = (
        output_of(code.format(module=module)) for module in ("greenlet", "pycoro.greenlet")
    )
    assert ours == theirs == ["unwound", "said by the greenlet"]


def test_fork() -> None:
    code = """
        import os, threading
        import {module} as api

        main = api.getcurrent()

        def run(value):
            while True:
                value = main.switch(value + 1)

        one = api.greenlet(run)
        one.switch(0)
        held = []

        def body():
            two = api.greenlet(run)
            two.parent = api.getcurrent()
            held.append(two)
            ready.set()
            done.wait(10)

        ready, done = threading.Event(), threading.Event()
        thread = threading.Thread(target=body)
        thread.start()
        ready.wait(10)

        def fork():
            child = os.fork()
            if child == 0:
                print(api.greenlet(lambda: "child").switch(), flush=True)
                try:
                    held[0].switch(1)
                except api.error as error:
                    print("refused", flush=True)
                os._exit(0)
            os.waitpid(child, 0)
            return "parent"

        print(api.greenlet(fork).switch(), flush=True)
        print(one.switch(7))
        done.set()
        thread.join()
        """
    theirs, ours = (
        output_of(code.format(module=module), "-W", "ignore")
        for module in ("greenlet", "pycoro.greenlet")
    )
    assert theirs == ours
    assert "refused" in ours
