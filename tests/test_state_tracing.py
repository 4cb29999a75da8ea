"""Interpreter state: settrace, setprofile and sys.monitoring over switches."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import pytest
from helpers import Implementation, Log, output_of, same

from pycoro import Coroutine, current

pytestmark = pytest.mark.usefixtures("quick_collections")


class Tracing:
    """Records events of functions whose names start with `t_`, until the with block ends."""

    def __init__(self, install: Any, log: Log, events: tuple[str, ...]) -> None:
        self.install, self.log, self.events = install, log, events

    def __call__(self, frame: FrameType, event: str, arg: Any) -> Any:
        if frame.f_code.co_name.startswith("t_") and event in self.events:
            self.log.append((event, frame.f_code.co_name))
        return self

    def __enter__(self) -> None:
        self.install(self)

    def __exit__(self, *_: object) -> None:
        self.install(None)


@pytest.mark.parametrize("install", [sys.settrace, sys.setprofile], ids=lambda f: f.__name__)
def test_calls_and_returns_in_order(install: Any) -> None:
    def scenario(api: Implementation, log: Log) -> None:
        main = api.current()

        def t_inner(n: int) -> int:
            main.switch(n)
            return n

        def t_run(n: int) -> int:
            return t_inner(n)

        a, b = api.new(t_run), api.new(t_run)
        with Tracing(install, log, ("call", "return")):
            a.switch(1)
            b.switch(2)
            log.append("both suspended")
            b.switch()
            a.switch()

    assert same(scenario) == [
        ("call", "t_run"),
        ("call", "t_inner"),
        ("call", "t_run"),
        ("call", "t_inner"),
        "both suspended",
        ("return", "t_inner"),
        ("return", "t_run"),
        ("return", "t_inner"),
        ("return", "t_run"),
    ]


@pytest.mark.parametrize("install", [sys.settrace, sys.setprofile], ids=lambda f: f.__name__)
def test_begun_and_ended_while_suspended(install: Any) -> None:
    def scenario(api: Implementation, log: Log) -> None:
        main = api.current()

        def t_leaf() -> None:
            pass

        def t_run() -> None:
            t_leaf()
            main.switch()
            t_leaf()
            main.switch()
            t_leaf()

        coroutine = api.new(t_run)
        coroutine.switch()
        with Tracing(install, log, ("call",)):
            coroutine.switch()
        log.append("ended")
        coroutine.switch()

    assert same(scenario) == [("call", "t_leaf"), "ended"]


@pytest.mark.parametrize("install", [sys.settrace, sys.setprofile], ids=lambda f: f.__name__)
def test_begun_inside_and_ended_outside(install: Any) -> None:
    def scenario(api: Implementation, log: Log) -> None:
        main = api.current()
        tracing = Tracing(install, log, ("call",))

        def t_leaf() -> None:
            pass

        def t_run() -> None:
            tracing.__enter__()
            t_leaf()
            main.switch()

        coroutine = api.new(t_run)
        coroutine.switch()
        t_leaf()
        tracing.__exit__()
        t_leaf()
        coroutine.switch()

    assert same(scenario) == [("call", "t_leaf"), ("call", "t_leaf")]


def test_lines_of_a_resumed_frame_are_traced() -> None:
    def scenario(api: Implementation, log: Log) -> None:
        main = api.current()

        def t_run() -> None:
            main.switch()
            main.switch()

        coroutine = api.new(t_run)
        with Tracing(sys.settrace, log, ("line", "return")):
            coroutine.switch()
            log.append("out")
            coroutine.switch()
            log.append("out")
            coroutine.switch()

    assert same(scenario) == [
        ("line", "t_run"),
        "out",
        ("line", "t_run"),
        "out",
        ("return", "t_run"),
    ]


def test_a_tracer_that_raises() -> None:
    def scenario(api: Implementation, log: Log) -> None:
        main = api.current()

        def tracer(frame: FrameType, event: str, arg: Any) -> Any:
            if frame.f_code.co_name == "t_leaf":
                raise KeyError("tracer")
            return tracer

        def t_leaf() -> None:
            pass

        def run() -> str:
            main.switch()
            try:
                t_leaf()
            except KeyError as error:
                return str(error)
            return "nothing"

        coroutine = api.new(run)
        coroutine.switch()
        sys.settrace(tracer)
        try:
            log.append(coroutine.switch())
        finally:
            left = sys.gettrace()
            sys.settrace(None)
        log.append(left)
        log.append(api.new(lambda: "works").switch())

    assert same(scenario) == ["'tracer'", None, "works"]


@pytest.mark.parametrize("install", [sys.settrace, sys.setprofile], ids=lambda f: f.__name__)
def test_a_tracer_that_switches(install: Any) -> None:
    def scenario(api: Implementation, log: Log) -> None:
        main = api.current()

        def helper() -> None:
            while True:
                api.current().parent.switch("helped")

        def tracer(frame: FrameType, event: str, arg: Any) -> Any:
            if frame.f_code.co_name == "t_leaf" and event == "call":
                helping.parent = api.current()
                log.append(helping.switch())
            return tracer

        def t_leaf() -> str:
            return "leaf"

        def run(value: str) -> str:
            return value + t_leaf() + main.switch("middle") + t_leaf()

        helping = api.new(helper)
        coroutine = api.new(run)
        install(tracer)
        try:
            log.append(coroutine.switch("a "))
            log.append(coroutine.switch(" b "))
        finally:
            install(None)
        helping.throw()  # its frame holds the tracer, which holds it

    assert same(scenario) == ["helped", "middle", "helped", "a leaf b leaf"]


POINTS = ["call", "return", "c_call", "c_return", "line", "opcode"]


@pytest.mark.parametrize("kind", ["value to a suspended one", "start", "result", "dead", "throw"])
@pytest.mark.parametrize("how", ["trace", "profile"])
def test_values_survive_whatever_a_tracer_does_at_any_event(how: str, kind: str) -> None:
    """At every single event in turn, a suspended coroutine is dropped, which switches twice."""
    main = current()

    def suspend() -> None:
        main_or_other = current().parent
        assert main_or_other is not None
        main_or_other.switch()

    def once(at: int) -> tuple[Any, int]:
        def back(value: Any = None) -> Any:
            while True:
                value = main.switch(("got", value))

        def caught() -> Any:
            try:
                main.switch()
            except KeyError as error:
                return ("caught", error.args)

        count = 0
        held: list[Coroutine] = []

        def tracer(frame: FrameType, event: str, arg: Any) -> Any:
            nonlocal count
            frame.f_trace_opcodes = how == "trace"
            count += 1
            if count == at:
                held.clear()
            return tracer

        actions: dict[str, Any] = {}
        waiting, catching = Coroutine(back), Coroutine(caught)
        waiting.switch()
        catching.switch()
        dead = Coroutine(lambda: None)
        dead.switch()
        dead.parent = waiting
        actions["value to a suspended one"] = lambda: waiting.switch("v")
        actions["start"] = lambda: Coroutine(back).switch("v")
        actions["result"] = lambda: Coroutine(lambda: ("got", "v")).switch()
        actions["dead"] = lambda: dead.switch("v")
        actions["throw"] = lambda: catching.throw(KeyError, "v")
        action = actions[kind]
        held.append(Coroutine(suspend))
        held[0].switch()
        install = sys.settrace if how == "trace" else sys.setprofile
        install(tracer)
        try:
            result = action()
        finally:
            install(None)
        return result, count

    expected = ("caught", ("v",)) if kind == "throw" else ("got", "v")
    result, events = once(0)
    assert result == expected
    results = [once(at)[0] for at in range(1, events + 1)]
    assert results == [expected] * events


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring came with Python 3.12")
def test_monitoring() -> None:
    def scenario(api: Implementation, log: Log) -> None:
        monitoring: Any = sys.monitoring  # type: ignore[attr-defined,unused-ignore]
        events = monitoring.events
        main = api.current()

        def t_leaf(n: int) -> int:
            main.switch(n)
            return n

        def t_run(n: int) -> int:
            t_leaf(n)
            raise KeyError(n)

        def record(kind: str) -> Any:
            return lambda code, *_: (
                log.append((kind, code.co_name)) if code.co_name.startswith("t_") else None
            )

        tool = monitoring.PROFILER_ID
        monitoring.use_tool_id(tool, "test")
        try:
            for kind in ("PY_START", "PY_RETURN", "PY_UNWIND"):
                monitoring.register_callback(tool, getattr(events, kind), record(kind))
            monitoring.set_events(tool, events.PY_START | events.PY_RETURN | events.PY_UNWIND)
            a, b = api.new(t_run), api.new(t_run)
            a.switch(1)
            b.switch(2)
            for coroutine in (a, b):
                try:
                    coroutine.switch()
                except KeyError as error:
                    log.append(error.args)
        finally:
            monitoring.set_events(tool, 0)
            monitoring.free_tool_id(tool)

    end = [("PY_RETURN", "t_leaf"), ("PY_UNWIND", "t_run")]
    assert same(scenario) == [
        *[("PY_START", "t_run"), ("PY_START", "t_leaf")] * 2,
        *end,
        (1,),
        *end,
        (2,),
    ]


def test_a_tracer_left_behind_by_an_ended_one_goes_on_in_main() -> None:
    log: Log = []

    def t_leaf() -> None:
        pass

    former = sys.gettrace()
    try:
        Coroutine(lambda: sys.settrace(Tracing(None, log, ("call",)))).switch()
        t_leaf()
    finally:
        sys.settrace(former)
    assert ("call", "t_leaf") in log


@pytest.mark.parametrize("how", ["monitoring", "settrace", "profile"])
def test_an_error_in_one_that_was_suspended_when_that_began(how: str) -> None:
    """On 3.15 it was a segfault: the code had not been prepared for telling of exceptions."""
    if how == "monitoring" and sys.version_info < (3, 12):
        pytest.skip("there is no sys.monitoring yet")
    assert output_of(
        f"""
        import cProfile, sys
        from pycoro import Coroutine, current

        def begin(how):
            if how == "settrace":
                sys.settrace(lambda *_: None)
            elif how == "profile":
                cProfile.Profile().enable()
            else:
                tell, tool = sys.monitoring, sys.monitoring.PROFILER_ID
                tell.use_tool_id(tool, "test")
                events = tell.events.RAISE | tell.events.PY_UNWIND | tell.events.EXCEPTION_HANDLED
                for bit in range(events.bit_length()):
                    if events >> bit & 1:
                        tell.register_callback(tool, 1 << bit, lambda *_: None)
                tell.set_events(tool, events)

        def leaf():
            main.switch()
            raise KeyError

        def run():
            try:
                leaf()
            except KeyError:
                print("handled")
                raise IndexError from None

        main = current()
        coroutine = Coroutine(run)
        coroutine.switch()
        begin({how!r})
        try:
            coroutine.switch()
        except IndexError:
            print("raised")
        """
    ) == ["handled", "raised"]


def test_an_error_in_a_greenlet_that_began_in_a_trace_function() -> None:
    """Nothing is traced then, so that its code was not prepared for it: a segfault on 3.15."""
    assert output_of(
        """
        import sys
        from pycoro.greenlet import getcurrent, greenlet

        main = getcurrent()

        def run():
            main.switch()
            raise KeyError

        def trace(*_):
            if not began:
                began.append(greenlet(run))
                began[0].switch()

        began = []
        sys.settrace(trace)
        (lambda: 0)()
        try:
            began[0].switch()
        except KeyError:
            print("raised")
        """
    ) == ["raised"]
