"""Looking at a thread's coroutines, from itself and from others: _native.thread_running() and
thread_living()."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from helpers import in_thread, output_of

import pycoro
from pycoro import _native


def other_thread(body: Callable[[], None]) -> tuple[pycoro.Coroutine, threading.Thread]:
    """A thread that runs it, and the thread's main coroutine."""
    mains: list[pycoro.Coroutine] = []
    begun = threading.Event()

    def run() -> None:
        mains.append(pycoro.current())
        begun.set()
        body()

    thread = threading.Thread(target=run)
    thread.start()
    begun.wait()
    return mains[0], thread


def test_the_running_one_comes_first() -> None:
    main = pycoro.current()
    log: list[object] = []

    def body() -> None:
        log.append(_native.thread_running(main))
        log.append(_native.thread_living(main)[:2])

    one = pycoro.Coroutine(body)
    before = len(_native.thread_living(main))
    one.switch()
    assert log == [one, [one, main]]
    assert _native.thread_running(main) is main
    assert _native.thread_living(main)[0] is main
    assert len(_native.thread_living(main)) == before


def test_only_a_main_coroutine_stands_for_a_thread() -> None:
    one = pycoro.Coroutine(pycoro.current().switch)
    one.switch()
    assert _native.thread_running(one) is None
    assert _native.thread_living(one) == []
    with pytest.raises(TypeError, match="a Coroutine is needed, not str"):
        _native.thread_living("main")
    with pytest.raises(TypeError, match="a Coroutine is needed, not NoneType"):
        _native.thread_running(None)
    one.switch()


def test_another_thread_is_looked_at() -> None:
    go_on = threading.Event()
    waits = threading.Event()

    def task() -> None:
        waits.set()
        go_on.wait()  # a real wait: the task runs all the time

    def body() -> None:
        pycoro.spawn(task).join()

    main, thread = other_thread(body)
    waits.wait()
    living = _native.thread_living(main)
    assert living[0] is _native.thread_running(main)
    assert [one.name for one in living] == [task.__qualname__, "main", "loop"]
    assert [one.frame is None for one in living] == [True, False, False]
    go_on.set()
    thread.join()
    assert _native.thread_running(main) is None
    assert _native.thread_living(main) == []


def test_a_reference_that_another_thread_drops_last() -> None:
    log: list[str] = []

    def body() -> None:
        try:
            pycoro.current().parent.switch()
        finally:
            log.append(threading.current_thread().name)

    kept: list[list[pycoro.Coroutine]] = []

    def owner() -> None:
        threading.current_thread().name = "owner"
        one = pycoro.Coroutine(body)
        one.switch()
        main = pycoro.current()
        kept.append(in_thread(lambda: _native.thread_living(main)))
        del one
        in_thread(kept.clear)
        log.append("next switch")
        pycoro.Coroutine(int).switch()

    in_thread(owner)
    assert log == ["next switch", "owner"]


def test_who_is_dying_is_not_found() -> None:
    """A subclass's __del__ hides the end from us; a weak reference's callback then looks."""
    code = """
    import weakref
    import pycoro
    from pycoro import _native
    from pycoro.waiting import WaitQueue

    class Hidden(pycoro.Coroutine):
        def __del__(self):
            pass

    main = pycoro.current()
    seen = []

    def look(_):
        seen.append([type(one).__name__ for one in _native.thread_suspended()])
        seen.append(["Hidden" for one in _native.thread_living(main) if type(one) is Hidden])
        try:
            WaitQueue().wait()
        except pycoro.LoopExit:
            seen.append("LoopExit")

    for _ in range(5):
        one = Hidden(main.switch)
        one.switch()
        reference = weakref.ref(one, look)
        del one
        print(seen)
        seen.clear()
    """
    first, *others = output_of(code, PYTHONMALLOC="debug")
    assert first == "[[], [], 'LoopExit']"
    assert others == ["[['Loop'], [], 'LoopExit']"] * 4
