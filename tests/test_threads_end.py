"""Threads that end, by all ways, with coroutines of theirs suspended; processes that fork."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from helpers import PYCORO, Implementation, Log, in_thread, output_of

from pycoro import Coroutine, CoroutineError, _native, current


def test_thread_exit_runs_finally_blocks_in_the_thread() -> None:
    def scenario(api: Implementation, log: Log) -> None:
        kept: list[Any] = []

        def thread() -> None:
            main = api.current()

            def run(number: int) -> None:
                try:
                    main.switch()
                finally:
                    log.append((number, threading.get_ident() == me))

            me = threading.get_ident()
            kept.append(main)
            for number in range(3):
                kept.append(api.new(run))
                kept[-1].switch(number)
            local.extend(kept)

        local: list[Any] = []
        in_thread(thread)
        log.sort()
        log.append([coroutine.dead for coroutine in kept])

    ours: Log = []
    scenario(PYCORO, ours)
    assert ours == [(0, True), (1, True), (2, True), [True] * 4]


def test_thread_exit_by_an_exception_or_by_exit_inside() -> None:
    assert output_of(
        """
        import sys, threading
        from pycoro import Coroutine, current

        threading.excepthook = lambda args: print("thread died of", args.exc_type.__name__)

        def suspended():
            try:
                current().parent.switch()
            finally:
                print("finally")

        def thread(error):
            def run():
                raise error
            kept.append(Coroutine(suspended))
            kept[-1].switch()
            Coroutine(run).switch()

        kept = []
        for error in (KeyError(), IndexError()):
            worker = threading.Thread(target=thread, args=(error,))
            worker.start()
            worker.join()
        """
    ) == ["thread died of KeyError", "finally", "thread died of IndexError", "finally"]


def test_an_ended_thread_s_are_refused_with_a_reason() -> None:
    kept: list[Coroutine] = []

    def thread() -> None:
        kept.extend([Coroutine(print), Coroutine(current().switch), current()])
        kept[1].switch()

    in_thread(thread)
    assert [coroutine.dead for coroutine in kept[1:]] == [True, True]
    for coroutine in kept:
        repr(coroutine)
        assert coroutine.frame is None
        for call in (coroutine.switch, coroutine.throw):
            with pytest.raises(CoroutineError):
                call()


def test_many_threads_come_and_go() -> None:
    before = _native.count_in_use()
    unwound: list[int] = []

    def thread() -> None:
        def run() -> None:
            try:
                current().parent.switch()  # type: ignore[union-attr]
            finally:
                unwound.append(1)

        coroutines = [Coroutine(run) for _ in range(3)]
        for coroutine in coroutines:
            coroutine.switch()
        if len(unwound) % 2:
            coroutines[0].parent = coroutines[1]

    for _ in range(100):
        in_thread(thread)
    assert len(unwound) == 300
    assert _native.count_in_use() == before


def test_the_end_of_many_does_not_look_at_all_of_them_for_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: list[int] = []
    look = _native.thread_kept
    monkeypatch.setattr(_native, "thread_kept", lambda: looks.append(1) or look())

    def thread() -> None:
        def run() -> None:
            current().parent.switch()  # type: ignore[union-attr]

        kept.extend(Coroutine(run) for _ in range(50))
        for coroutine in kept:
            coroutine.switch()
        looks.clear()

    kept: list[Coroutine] = []
    in_thread(thread)
    assert all(coroutine.dead for coroutine in kept)
    assert looks == [1]


def test_the_owner_ends_while_another_thread_drops() -> None:
    # A tracer holds the dropping thread inside the drop until the owner has gone.
    assert output_of(
        """
        import sys, threading
        from pycoro import Coroutine, current, _native

        def owner():
            def run():
                try:
                    current().parent.switch()
                finally:
                    log.append("finally")
            coroutine = Coroutine(run)
            coroutine.switch()
            box.append(coroutine)
            del coroutine
            ready.set()
            go.wait(30)

        def tracer(frame, event, arg):
            global count
            name = frame.f_globals.get("__name__", "")
            if "threads" in name and "pycoro" in name:
                count += 1
                if count == at:
                    sys.settrace(None)
                    go.set()
                    worker.join()
            return tracer

        for at in range(1, 40):
            count, log, box = 0, [], []
            ready, go = threading.Event(), threading.Event()
            worker = threading.Thread(target=owner)
            worker.start()
            ready.wait(30)
            sys.settrace(tracer)
            box.clear()
            sys.settrace(None)
            go.set()
            worker.join()
            assert len(log) <= 1, log
        print("done", Coroutine(lambda: "works").switch())
        """,
        PYTHONMALLOC="malloc",
        MALLOC_PERTURB_="165",
    ) == ["done works"]


def test_fork_inside_a_coroutine() -> None:
    assert output_of(
        """
        import os, sys, threading, warnings
        from pycoro import Coroutine, current
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads

        def other_thread():
            coroutine = Coroutine(current().switch)
            coroutine.switch()
            ready.set()
            done.wait(60)
            coroutine.switch()

        def run(name):
            try:
                pid = os.fork()
                main.switch("forked")
                if pid == 0:
                    print(name, "in the child", flush=True)
                else:
                    status = os.waitpid(pid, 0)[1]
                    print(name, "parent sees", status, flush=True)
                return pid
            finally:
                main.switch("finally")

        ready, done = threading.Event(), threading.Event()
        worker = threading.Thread(target=other_thread)
        worker.start()
        ready.wait(60)
        main = current()
        suspended = Coroutine(lambda: main.switch())
        suspended.switch()
        coroutine = Coroutine(run)
        assert coroutine.switch("c") == "forked"
        assert coroutine.switch() == "finally"
        pid = coroutine.switch()
        assert suspended.switch("still there") == "still there"
        if pid == 0:
            child_thread = threading.Thread(
                target=lambda: Coroutine(print).switch("a thread in the child")
            )
            child_thread.start()
            child_thread.join()
            sys.stdout.flush()
        done.set()
        if pid:
            worker.join()
        """
    ) == ["c in the child", "a thread in the child", "c parent sees 0"]


def test_fork_in_another_thread_than_the_main_one() -> None:
    assert output_of(
        """
        import os, threading, warnings
        from pycoro import Coroutine, current
        warnings.simplefilter("ignore", DeprecationWarning)

        def run():
            pid = os.fork()
            if pid:
                print("status", os.waitpid(pid, 0)[1], flush=True)
            current().parent.switch(pid)
            return pid

        def thread():
            coroutine = Coroutine(run)
            pid = coroutine.switch()
            coroutine.switch()
            if pid == 0:
                print("child", coroutine.dead, flush=True)
                os._exit(0)
            print("parent", coroutine.dead, flush=True)

        main_one = Coroutine(current().switch)
        main_one.switch()
        worker = threading.Thread(target=thread)
        worker.start()
        worker.join()
        """
    ) == ["child True", "status 0", "parent True"]


def test_thread_locals_that_use_coroutines_while_they_die() -> None:
    assert output_of(
        """
        import threading
        from pycoro import Coroutine, current, _native

        class Late:
            def __del__(self):
                log.append(Coroutine(lambda: current().parent is not None).switch())
                coroutine = Coroutine(lambda: current().parent.switch())
                coroutine.switch()
                kept.append(coroutine)

        def before():
            local.late = Late()
            current()

        def after():
            current()
            local.late = Late()

        log, kept = [], []
        local = threading.local()
        for function in (before, after) * 5:
            worker = threading.Thread(target=function)
            worker.start()
            worker.join()
        print(log == [True] * 10)
        for coroutine in kept:
            try:
                coroutine.switch()
            except RuntimeError as error:
                pass
            repr(coroutine), coroutine.frame
        print(len(kept))
        """
    ) == ["True", "10"]
