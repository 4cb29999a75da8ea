"""Threads that each run their own coroutines: refusals across, dropping from afar."""

from __future__ import annotations

import threading
import weakref
from typing import Any

import pytest
from helpers import Implementation, Log, in_thread, same

from pycoro import Coroutine, CoroutineError, CoroutineExit, _native, current


def test_each_thread_has_a_main_of_its_own() -> None:
    main = current()
    other, parent = in_thread(lambda: (current(), current().parent))
    assert other is not main
    assert parent is None
    assert other.dead
    assert "thread has ended" in repr(other)
    assert not main.dead


def test_ten_threads_at_once() -> None:
    barrier = threading.Barrier(10)
    results: dict[int, list[Any]] = {}

    def thread(me: int) -> None:
        def run(number: int) -> int:
            total = 0
            while (value := main.switch((me, number))) is not None:
                total += sorted([value, 0], key=lambda item: item)[-1]
            return total

        main = current()
        barrier.wait(30)
        coroutines = [Coroutine(run) for _ in range(20)]
        seen = [coroutine.switch(n) for n, coroutine in enumerate(coroutines)]
        for value in range(100):
            seen = [coroutine.switch(value) for coroutine in coroutines]
        results[me] = [seen, [coroutine.switch(None) for coroutine in coroutines]]

    before = _native.count_in_use()
    threads = [threading.Thread(target=thread, args=(n,)) for n in range(10)]
    for worker in threads:
        worker.start()
    for worker in threads:
        worker.join(60)
    assert results == {
        me: [[(me, number) for number in range(20)], [sum(range(100))] * 20] for me in range(10)
    }
    assert _native.count_in_use() == before


@pytest.mark.parametrize("state", ["main", "not started", "suspended", "dead"])
@pytest.mark.parametrize("call", ["switch", "switch values", "throw"])
def test_switching_to_another_thread_s_is_refused(state: str, call: str) -> None:
    main = current()
    coroutine = Coroutine(lambda: main.switch("up"))
    if state == "main":
        coroutine = main
    elif state == "suspended":
        coroutine.switch()
    elif state == "dead":
        coroutine.throw()

    def attempt() -> None:
        match call:
            case "switch":
                coroutine.switch()
            case "switch values":
                coroutine.switch(1, 2)
            case _:
                coroutine.throw(KeyError)

    looks = repr(coroutine)
    with pytest.raises(CoroutineError, match="another thread"):
        in_thread(attempt)
    assert repr(coroutine) == looks
    if state == "not started":
        assert coroutine.switch() == "up"
    assert coroutine.switch("v") == "v"


def test_a_refused_value_is_let_go_of_and_disturbs_nobody() -> None:
    main = current()
    gone: list[Any] = []

    class Value:
        def __del__(self) -> None:
            gone.append(helper.switch("from __del__"))

    def run(_: Any = None) -> None:
        while True:
            main.switch(main.switch())

    def attempt() -> None:
        coroutine.switch(Value())

    def echo() -> Any:
        value = main.switch()
        while True:
            value = main.switch(value)

    helper, coroutine = Coroutine(echo), Coroutine(echo)
    helper.switch()
    coroutine.switch()
    with pytest.raises(CoroutineError):
        in_thread(attempt)
    assert coroutine.switch("mine") == "mine"


def test_looking_at_another_thread_s_is_harmless() -> None:
    main = current()
    coroutine = Coroutine(lambda: main.switch("up"))
    coroutine.switch()

    def look() -> list[Any]:
        frame = coroutine.frame
        return [
            coroutine.dead,
            coroutine.started,
            coroutine.parent is main,
            frame is not None and frame.f_code.co_name,
            main.frame is None,
            main.dead,
            "suspended" in repr(coroutine),
            coroutine.context,
        ]

    assert in_thread(look) == [False, True, True, "<lambda>", True, False, True, coroutine.context]
    assert coroutine.switch("v") == "v"


def test_dropping_from_another_thread_waits_for_the_owner() -> None:
    def scenario(api: Implementation, log: Log) -> None:
        main = api.current()

        def run() -> None:
            try:
                main.switch()
            finally:
                log.append(("unwound in its own thread", threading.get_ident() == mine))

        mine = threading.get_ident()
        box = [api.new(run)]
        box[0].switch()
        in_thread(box.clear)
        log.append("dropped")
        api.new(lambda: None).switch()
        api.current()
        log.append("called in")

    assert same(scenario) == [
        "dropped",
        ("unwound in its own thread", True),
        "called in",
    ]


def test_one_dropped_elsewhere_that_another_ends_meanwhile() -> None:
    main = current()
    log: Log = []

    def run(name: str) -> None:
        try:
            main.switch()
        finally:
            log.append(f"{name} ends")
            if name == "first" and (second := refs[1]()) is not None:  # greenlet: no reference more
                second.parent = current()
                log.append(repr(second.throw(CoroutineExit)))

    box = [Coroutine(run) for _ in range(2)]
    refs = [weakref.ref(one) for one in box]
    box[0].switch("first")
    box[1].switch("second")
    in_thread(box.clear)
    Coroutine(lambda: None).switch()
    assert log == ["first ends", "second ends", "CoroutineExit()"]
    assert [ref() for ref in refs] == [None, None]


def test_many_dropped_elsewhere_are_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    look = _native.thread_kept
    monkeypatch.setattr(_native, "thread_kept", lambda: looks.append(1) or look())
    main = current()
    box = [Coroutine(main.switch) for _ in range(50)]
    for coroutine in box:
        coroutine.switch()
    del coroutine
    before = _native.count_in_use()
    in_thread(box.clear)
    Coroutine(lambda: None).switch()
    assert _native.count_in_use() == before - 50
    assert looks == [1, 1]  # the second finds none


def test_dropping_many_from_many_threads() -> None:
    main = current()
    unwound: list[int] = []

    def run(number: int) -> None:
        try:
            main.switch()
        finally:
            unwound.append(number)

    before = _native.count_in_use()
    boxes: list[list[Coroutine]] = [[] for _ in range(8)]
    for number in range(400):
        coroutine = Coroutine(run)
        coroutine.switch(number)
        boxes[number % 8].append(coroutine)
    del coroutine
    threads = [threading.Thread(target=box.clear) for box in boxes]
    for worker in threads:
        worker.start()
    while any(worker.is_alive() for worker in threads):
        Coroutine(lambda: None).switch()
    Coroutine(lambda: None).switch()
    assert sorted(unwound) == list(range(400))
    assert _native.count_in_use() == before
