"""Interpreter state: chains of frames, running and suspended, and exceptions being handled."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import io
import sys
import traceback
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest
from helpers import Implementation, Log, same

from pycoro import Coroutine, current

pytestmark = pytest.mark.usefixtures("quick_collections")


def names(frame: FrameType | None) -> list[str]:
    found = []
    while frame is not None:
        if "pycoro" not in frame.f_globals.get("__name__", ""):
            found.append(frame.f_code.co_name)
        frame = frame.f_back
    return found


def test_the_chain_of_a_running_one_ends_at_run() -> None:
    def scenario(api: Implementation, log: Log) -> None:
        def inner() -> None:
            log.append(names(sys._getframe()))
            log.append([entry.name for entry in traceback.extract_stack()])

        def run() -> None:
            inner()

        api.new(run).switch()

    assert same(scenario) == [["inner", "run"], ["run", "inner"]]


def suspended_in_c_calls(api: Implementation) -> Any:
    main = api.current()

    def key(item: int) -> int:
        main.switch()
        return item

    def generate() -> Iterator[int]:
        yield from map(key, [1])

    def deep() -> list[int]:
        inner = lambda _: next(generate())  # noqa: E731
        return sorted([2, 3], key=lambda item: max(map(inner, [item])))

    def run() -> list[int]:
        return deep()

    coroutine = api.new(run)
    coroutine.switch()
    return coroutine


def test_a_suspended_one_s_frames_through_nested_c_calls() -> None:
    def scenario(api: Implementation, log: Log) -> None:
        coroutine = suspended_in_c_calls(api)
        frame = api.frame(coroutine)
        expected = ["key", "generate", "<lambda>", "<lambda>", "deep", "run"]
        for _ in range(3):
            log.append(names(frame) == expected)
            gc.collect()
        text = io.StringIO()
        traceback.print_stack(frame, file=text)
        lines = text.getvalue().splitlines()
        log.append([line.split(" in ")[1] for line in lines if " in " in line])
        log.append(frame.f_locals["item"])
        coroutine.switch()
        coroutine.switch()
        log.append(coroutine.dead)

    ours = same(scenario)
    assert ours[:3] == [True] * 3
    assert ours[3] == ["run", "deep", "<lambda>", "<lambda>", "generate", "key"]


def test_frames_that_are_held_over_resuming_and_the_end() -> None:
    def scenario(api: Implementation, log: Log) -> None:
        coroutine = suspended_in_c_calls(api)
        first = api.frame(coroutine)
        coroutine.switch()
        second = api.frame(coroutine)
        log.append((names(second)[0], names(first)[:1]))
        coroutine.switch()
        gc.collect()
        for _ in range(20):  # their stack is used again
            api.new(lambda: sorted([1, 2], key=lambda item: item)).switch()
        log.append((coroutine.dead, names(first), names(second)))
        log.append((first.f_code.co_name, first.f_locals["item"], second.f_locals["item"]))
        first.clear()
        log.append(dict(first.f_locals))

    ours = same(scenario)
    assert ours[2:] == [("key", 1, 1), {}]


def test_frames_of_a_dropped_one() -> None:
    def scenario(api: Implementation, log: Log) -> None:
        coroutine = suspended_in_c_calls(api)
        frame = api.frame(coroutine)
        del coroutine
        gc.collect()
        log.append((frame.f_lineno, names(frame)))

    assert same(scenario)[0][1][:2] == ["key", "generate"]


def test_frames_from_inside_switch_are_of_the_caller() -> None:
    main = current()

    def run() -> None:
        main.switch()

    coroutine = Coroutine(run)
    assert coroutine.frame is None
    coroutine.switch()
    frame = coroutine.frame
    assert frame is not None
    assert frame.f_code is run.__code__
    assert frame.f_back is None
    assert frame.f_lineno == run.__code__.co_firstlineno + 1
    coroutine.switch()
    assert coroutine.frame is None


def test_main_s_frames_seen_from_a_coroutine() -> None:
    def caller() -> list[str]:
        return Coroutine(lambda: names(main.frame)).switch()  # type: ignore[no-any-return]

    main = current()
    assert caller()[:2] == ["caller", "test_main_s_frames_seen_from_a_coroutine"]


def test_switching_in_a_callback_from_c() -> None:
    def scenario(api: Implementation, log: Log) -> None:
        main = api.current()
        compare_type = ctypes.CFUNCTYPE(
            ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int)
        )
        libc = ctypes.CDLL(None)

        def sort(values: list[int]) -> list[int]:
            def compare(a: Any, b: Any) -> int:
                main.switch("compares")
                return int(a[0]) - int(b[0])

            array = (ctypes.c_int * len(values))(*values)
            libc.qsort(array, len(values), ctypes.sizeof(ctypes.c_int), compare_type(compare))
            return list(array)

        pending = [api.new(sort) for _ in range(3)]
        values = [[3, 1, 2], [9, 8], [5, 4, 6]]
        results = [coroutine.switch(v) for coroutine, v in zip(pending, values, strict=True)]
        while pending:
            results += [coroutine.switch() for coroutine in pending]
            pending = [coroutine for coroutine in pending if not coroutine.dead]
        log.append([result for result in results if result != "compares"])

    assert same(scenario) == [[[8, 9], [1, 2, 3], [4, 5, 6]]]


def test_exc_info_is_each_one_s_own() -> None:
    def scenario(api: Implementation, log: Log) -> None:
        main = api.current()

        def handling() -> Any:
            return type(sys.exc_info()[1]).__name__

        def run() -> None:
            log.append(("new", handling()))
            try:
                raise KeyError
            except KeyError:
                main.switch()
                log.append(("inside except", handling()))
                try:
                    raise IndexError
                except IndexError:
                    main.switch()
                    log.append(("nested", handling()))
                log.append(("after nested", handling()))
                main.switch()
            log.append(("after", handling()))

        coroutine = api.new(run)
        try:
            raise ValueError
        except ValueError:
            coroutine.switch()
            log.append(("main", handling()))
        log.append(("main", handling()))
        coroutine.switch()
        try:
            raise OSError
        except OSError:
            coroutine.switch()
            log.append(("main", handling()))
            coroutine.switch()
            log.append(("main", handling()))

    assert same(scenario) == [
        ("new", "NoneType"),
        ("main", "ValueError"),
        ("main", "NoneType"),
        ("inside except", "KeyError"),
        ("nested", "IndexError"),
        ("after nested", "KeyError"),
        ("main", "OSError"),
        ("after", "NoneType"),
        ("main", "OSError"),
    ]


def test_bare_raise_after_a_switch_raises_the_own_one() -> None:
    def scenario(api: Implementation, log: Log) -> None:
        main = api.current()

        def run(kind: type[Exception]) -> None:
            try:
                raise kind(kind.__name__)
            except Exception:
                main.switch()
                raise

        kinds = [KeyError, IndexError, OSError]
        coroutines = [api.new(run) for _ in kinds]
        for coroutine, kind in zip(coroutines, kinds, strict=True):
            coroutine.switch(kind)
        for coroutine in reversed(coroutines):
            try:
                coroutine.switch()
            except Exception as error:
                log.append((repr(error), error.__context__))

    assert same(scenario) == [
        ("OSError('OSError')", None),
        ("IndexError('IndexError')", None),
        ("KeyError('KeyError')", None),
    ]


def test_generators_that_switch_while_handling_permute() -> None:
    def scenario(api: Implementation, log: Log) -> None:
        main = api.current()

        def generate(kind: type[Exception]) -> Iterator[str]:
            try:
                raise kind
            except Exception:
                yield type(sys.exc_info()[1]).__name__
                main.switch("switched in the generator")
                yield type(sys.exc_info()[1]).__name__
                try:
                    raise ZeroDivisionError
                except ZeroDivisionError:
                    yield type(sys.exc_info()[1]).__name__
            yield type(sys.exc_info()[1]).__name__

        def run(kind: type[Exception], generator: Iterator[str]) -> list[str]:
            try:
                raise kind
            except kind:
                seen = []
                for item in generator:
                    seen += [item, type(sys.exc_info()[1]).__name__]
                    main.switch("between")
                return seen

        kinds: list[type[Exception]] = [KeyError, IndexError, OSError]
        coroutines = [api.new(run) for _ in kinds]
        for coroutine, kind in zip(coroutines, kinds, strict=True):
            coroutine.switch(kind, generate(type(f"In{kind.__name__}", (Exception,), {})))
        for turn in range(40):
            coroutine = coroutines[(turn * 7 + turn // 3) % 3]
            if not coroutine.dead:
                log.append((turn, coroutine.switch()))
        log.append(sys.exc_info())

    ours = same(scenario)
    assert sum(isinstance(result, list) for _, result in ours[:-1]) == 3
    assert ours[-1] == (None, None, None)


def test_a_generator_begun_in_one_and_continued_in_another() -> None:
    def scenario(api: Implementation, log: Log) -> None:
        main = api.current()

        def count() -> Iterator[int]:
            yield from range(3)
            main.switch("suspended inside the generator")
            yield 3

        generator = count()
        log.append(api.new(lambda: next(generator)).switch())
        log.append(next(generator))
        log.append(api.new(lambda: next(generator)).switch())
        holder = api.new(lambda: next(generator))
        log.append(holder.switch())
        try:
            next(generator)
        except ValueError as error:
            log.append(str(error))
        log.append(holder.switch())

    assert same(scenario) == [
        0,
        1,
        2,
        "suspended inside the generator",
        "generator already executing",
        3,
    ]


def test_an_asyncio_loop_inside_a_coroutine() -> None:
    def scenario(api: Implementation, log: Log) -> None:
        main = api.current()

        async def task(name: str) -> str:
            await asyncio.sleep(0)
            main.switch(f"{name} switches out")
            await asyncio.sleep(0)
            return name

        async def both() -> list[str]:
            return await asyncio.gather(task("a"), task("b"))

        runner = api.new(lambda: asyncio.run(both()))
        for _ in range(3):
            log.append(runner.switch())
        log.append(runner.dead)

    assert same(scenario) == ["a switches out", "b switches out", ["a", "b"], True]


def test_coroutines_inside_asyncio_tasks() -> None:
    def scenario(api: Implementation, log: Log) -> None:
        def run(name: str) -> str:
            here = api.current()
            for turn in range(2):
                here.parent.switch((name, turn))
            return f"{name} done"

        async def task(name: str) -> Any:
            coroutine = api.new(run)
            log.append(coroutine.switch(name))
            while not coroutine.dead:
                await asyncio.sleep(0)
                log.append(coroutine.switch())
            return api.current().parent

        async def both() -> list[Any]:
            return await asyncio.gather(task("a"), task("b"))

        log.append(asyncio.run(both()))

    assert same(scenario) == [
        ("a", 0),
        ("b", 0),
        ("a", 1),
        ("b", 1),
        "a done",
        "b done",
        [None, None],
    ]
