"""The last reference goes while suspended: unwinding, resurrection, finalizers, copies.

Scenarios are played on greenlet (PyPI) as well, and must record the same there.
"""

from __future__ import annotations

import copy
import gc
import pickle
import sys
from typing import Any

import pytest
from helpers import Implementation, Log, output_of, same

from pycoro import Coroutine, CoroutineExit, _native, current

pytestmark = pytest.mark.usefixtures("quick_collections")


def test_dropping_unwinds_at_once() -> None:
    def scenario(api: Implementation, log: Log) -> None:
        main = api.current()

        def run() -> None:
            try:
                try:
                    main.switch()
                finally:
                    log.append("inner finally")
            except BaseException as error:
                log.append((type(error) is api.Exit, api.current().parent is main))
                raise

        coroutine = api.new(run)
        coroutine.switch()
        log.append("drop")
        del coroutine
        log.append("dropped")

    assert same(scenario) == ["drop", "inner finally", (True, True), "dropped"]


def test_parent_while_dropped_is_whoever_runs() -> None:
    def scenario(api: Implementation, log: Log) -> None:
        main = api.current()

        def run() -> None:
            try:
                main.switch()
            finally:
                log.append(api.current().parent is dropper)

        def drop() -> None:
            box.clear()
            log.append("dropper goes on")

        dropper = api.new(drop)
        box = [api.new(run, api.new(lambda: None))]
        box[0].switch()
        dropper.switch()

    assert same(scenario) == [True, "dropper goes on"]


def test_unstarted_and_ended_ones_are_dropped_in_silence() -> None:
    def scenario(api: Implementation, log: Log) -> None:
        coroutine = api.new(lambda: log.append("ran"))
        del coroutine
        coroutine = api.new(lambda: log.append("ran"))
        coroutine.switch()
        del coroutine

    assert same(scenario) == ["ran"]


def test_other_exceptions_reach_the_unraisable_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    def scenario(api: Implementation, log: Log) -> None:
        monkeypatch.setattr(sys, "unraisablehook", lambda args: log.append(repr(args.exc_value)))
        main = api.current()

        def run() -> None:
            try:
                main.switch()
            except BaseException:
                raise ValueError("while unwinding") from None

        coroutine = api.new(run)
        coroutine.switch()
        del coroutine
        log.append("goes on")

    assert same(scenario) == ["ValueError('while unwinding')", "goes on"]


def test_it_may_switch_while_it_is_unwound() -> None:
    def scenario(api: Implementation, log: Log) -> None:
        main = api.current()

        def other() -> None:
            while True:
                log.append(("other", api.current().parent.switch("pong")))

        def run() -> None:
            try:
                main.switch()
            finally:
                helper = api.new(other)
                log.append(helper.switch())
                log.append(helper.switch("ping"))

        coroutine = api.new(run)
        coroutine.switch()
        del coroutine
        log.append("end")

    assert same(scenario) == ["pong", ("other", "ping"), "pong", "end"]


def test_resurrection() -> None:
    def scenario(api: Implementation, log: Log) -> None:
        main = api.current()
        kept: list[Any] = []

        def run() -> str:
            try:
                main.switch()
            except api.Exit:
                kept.append(api.current())
                log.append(main.switch("back to life"))
            return "ended well"

        parent = api.new(lambda *args: ("parent", args))
        coroutine = api.new(run, parent)
        coroutine.switch()
        del coroutine
        log.append(("kept", len(kept), kept[0].dead, kept[0].parent is parent))
        log.append(kept[0].switch("going on"))
        log.append(kept[0].dead)

    assert same(scenario) == [
        ("kept", 1, False, True),
        "going on",
        ("parent", ("ended well",)),
        True,
    ]


def test_one_brought_back_is_unwound_when_dropped_again() -> None:
    main = current()
    kept: list[Coroutine] = []
    log: list[str] = []

    def run() -> None:
        try:
            main.switch()
        except CoroutineExit:
            kept.append(current())
        try:
            main.switch()
        finally:
            log.append("unwound in the end")

    coroutine = Coroutine(run)
    coroutine.switch()
    before = _native.count_in_use()
    del coroutine
    assert log == []
    kept.clear()
    assert log == ["unwound in the end"]
    assert _native.count_in_use() == before - 1


def test_one_that_came_back_and_ended_harms_nobody_afterwards() -> None:
    main = current()
    kept: list[Coroutine] = []
    log: list[Any] = []

    def stubborn() -> None:
        try:
            main.switch()
        except CoroutineExit:
            kept.append(current())
            main.switch()

    def innocent() -> str:
        try:
            return str(main.switch("up"))
        except BaseException as error:
            log.append(error)
            raise

    coroutine = Coroutine(stubborn)
    coroutine.switch()
    del coroutine
    kept[0].switch()
    assert kept[0].dead
    others = [Coroutine(innocent) for _ in range(5)]
    assert [other.switch() for other in others] == ["up"] * 5
    kept.clear()
    gc.collect()
    assert log == []
    assert [other.switch("fine") for other in others] == ["fine"] * 5


def test_one_that_swallows_exit_is_left_alone_and_the_rest_works() -> None:
    assert output_of(
        """
        import gc, sys
        from pycoro import Coroutine, CoroutineExit, current

        sys.unraisablehook = lambda args: print("reported:", args.exc_type.__name__)
        main = current()

        def run():
            while True:
                try:
                    main.switch("again")
                except CoroutineExit:
                    print("swallowed")

        coroutine = Coroutine(run)
        coroutine.switch()
        del coroutine
        gc.collect()
        print(Coroutine(lambda: "works").switch())
        """
    )[-1] in ("works", "swallowed")


def test_a_running_one_whose_references_all_go_keeps_running() -> None:
    code = """
        import sys
        sys.unraisablehook = lambda args: print("unraisable", args.exc_type.__name__)
        log, refs = [], {}

        def x_run():
            refs["W"].switch()
            refs["W"].parent = main
            del refs["W"]
            refs.pop("Y")  # whose frame alone holds X, which runs
            log.append("x goes on")
            return "x result"

        def y_run():
            try:
                refs.pop("X").switch()
            except BaseException as error:
                log.append("y unwound")
                raise

        def w_run():
            refs["Y"].switch()

        main = current()
        refs["X"] = new(x_run)
        refs["Y"] = new(y_run)
        refs["W"] = new(w_run, refs["X"])
        print(refs["W"].switch())
        print(log)
        """
    ours = output_of("from pycoro import Coroutine as new, current\n" + _dedent(code), timeout=20)
    theirs = output_of(
        "from greenlet import greenlet as new, getcurrent as current\n" + _dedent(code), timeout=20
    )
    assert ours == theirs


def _dedent(code: str) -> str:
    return "\n".join(line[8:] for line in code.splitlines())


def test_del_that_switches() -> None:
    def scenario(api: Implementation, log: Log) -> None:
        main = api.current()

        class Switching:
            def __del__(self) -> None:
                helper.parent = api.current()
                log.append(helper.switch("from __del__"))

        def run() -> None:
            value = "helper up"
            while True:
                value = api.current().parent.switch(value)

        def holds() -> None:
            _ = Switching()
            main.switch()

        helper = api.new(run)
        helper.switch()
        coroutine = api.new(holds)
        coroutine.switch()
        del coroutine
        log.append("end")

    assert same(scenario) == ["from __del__", "end"]


@pytest.mark.parametrize(
    "operation", [copy.copy, copy.deepcopy, pickle.dumps], ids=lambda f: f.__name__
)
def test_copies_and_pickles_are_refused(operation: Any) -> None:
    main = current()
    log: list[str] = []

    def run() -> str:
        try:
            return str(main.switch())
        finally:
            log.append("ended")

    coroutine = Coroutine(run)
    coroutine.switch()
    with pytest.raises(TypeError):
        operation(coroutine)
    assert log == []
    assert coroutine.switch("as before") == "as before"


def test_an_init_that_fails_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    class Failing(Coroutine):
        def __init__(self) -> None:
            raise KeyError("before super().__init__()")

    with pytest.raises(KeyError):
        Failing()
    with pytest.raises(TypeError):
        Coroutine(5)  # type: ignore[arg-type]
    gc.collect()
    assert capsys.readouterr().err == ""
