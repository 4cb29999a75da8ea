"""The collector at any moment, and debug builds of the allocator, over the rest of the tests."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from helpers import ROOT, output_of, run_python

from pycoro import Coroutine, _native, current
from pycoro.greenlet import greenlet

pytestmark = pytest.mark.usefixtures("quick_collections")


@pytest.fixture(params=[1, 7, 100])
def frequent_collections(request: pytest.FixtureRequest) -> Iterator[None]:
    former = gc.get_threshold()
    gc.set_threshold(request.param, 1, 1)
    yield
    gc.set_threshold(*former)


class Cyclic(Coroutine):
    """In a cycle with itself, so that only the collector finds it."""

    me: Any

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.me = self


def test_everything_while_collecting(frequent_collections: None) -> None:
    main = current()
    ended: list[int] = []

    def run(number: int) -> int:
        try:
            junk = [[] for _ in range(3)]
            for item in junk:
                item.append(junk)
            value = main.switch([number])
            assert value == [number, "v"]
            return number
        finally:
            ended.append(number)

    before = _native.count_in_use()
    for number in range(150):
        coroutine = Cyclic(run)
        assert coroutine.switch(number) == [number]
        assert coroutine.frame is not None
        if number % 3 == 0:
            assert coroutine.switch([number, "v"]) == number
        elif number % 3 == 1:
            with pytest.raises(KeyError):
                coroutine.throw(KeyError(number))
        repr(coroutine)
        _ = coroutine.context
    del coroutine
    gc.collect()
    assert sorted(ended) == list(range(150))
    assert _native.count_in_use() == before


def test_objects_are_balanced() -> None:
    main = current()

    def run() -> None:
        main.switch(["value"])

    def round_() -> None:
        for ending in ("finish", "throw", "drop", "cycle"):
            coroutine = Cyclic(run) if ending == "cycle" else Coroutine(run)
            coroutine.switch()
            if ending == "finish":
                coroutine.switch()
            elif ending == "throw":
                coroutine.throw()
        del coroutine
        gc.collect()

    for _ in range(5):
        round_()
    counts = []
    for _ in range(10):
        round_()
        counts.append((len(gc.get_objects()), _native.count_in_use()))
    assert counts[3:] == [counts[3]] * 7


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="None is immortal there")
def test_an_error_that_was_handled_leaves_no_reference_to_none() -> None:
    def run() -> None:
        try:
            raise KeyError
        except KeyError:
            pass

    before = sys.getrefcount(None)
    for _ in range(1000):
        Coroutine(run).switch()
        greenlet(run).switch()
    assert sys.getrefcount(None) - before < 100


def test_weak_value_tables() -> None:
    table: weakref.WeakValueDictionary[int, Coroutine] = weakref.WeakValueDictionary()
    main = current()
    keep = []
    for number in range(100):
        coroutine = Coroutine(lambda: main.switch())
        coroutine.switch()
        table[number] = coroutine
        if number % 2:
            keep.append(coroutine)
    del coroutine
    assert len(table) == 50
    keep.clear()
    assert len(table) == 0


def test_suspended_frames_keep_their_objects() -> None:
    class Object:
        pass

    main = current()
    references: list[weakref.ref[Object]] = []

    def run() -> bool:
        value = Object()
        value.cycle = [value]  # type: ignore[attr-defined]
        references.append(weakref.ref(value))
        main.switch()
        return value.cycle[0] is value  # type: ignore[attr-defined,no-any-return]

    coroutine = Coroutine(run)
    coroutine.switch()
    for _ in range(3):
        gc.collect()
    assert references[0]() is not None
    assert coroutine.switch() is True
    gc.collect()
    assert references[0]() is None


SUBSET = ["test_coroutine_throw.py", "test_coroutine_drop.py", "test_state_frames.py"]
SUBSET += ["test_state_context.py"]


def test_a_subset_in_development_mode_with_a_debugging_allocator() -> None:
    done = run_python(
        f"""
        import sys, pytest
        sys.exit(pytest.main(["-q", "-p", "no:cacheprovider",
                 *[{str(ROOT / "tests")!r} + "/" + name for name in {SUBSET!r}]]))
        """,
        "-X",
        "dev",
        timeout=150,
        PYTHONMALLOC="debug",
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def test_the_collector_runs_in_a_thread_that_has_no_coroutines() -> None:
    assert output_of(
        """
        import gc, threading
        from pycoro import Coroutine, current

        class Cyclic(Coroutine):
            pass

        def run():
            try:
                main.switch()
            finally:
                log.append(threading.current_thread() is threading.main_thread())

        gc.disable()
        main = current()
        log = []
        for _ in range(10):
            coroutine = Cyclic(run)
            coroutine.me = coroutine
            coroutine.switch()
        del coroutine
        worker = threading.Thread(target=gc.collect)
        worker.start()
        worker.join()
        print(len(log))
        Coroutine(lambda: None).switch()
        print(len(log), all(log))
        """
    ) == ["0", "10 True"]


def test_refcounts_of_values_in_flight() -> None:
    main = current()
    value = object()
    coroutine = Coroutine(lambda: [main.switch() for _ in range(1000)] and None)
    coroutine.switch()
    before = sys.getrefcount(value)
    for _ in range(500):
        coroutine.switch(value)
    assert sys.getrefcount(value) == before + 500
    coroutine.throw()
    assert sys.getrefcount(value) == before
