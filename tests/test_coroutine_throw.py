"""Exceptions: thrown in, coming out, on their way to parents; what traceback and context they have.

Scenarios are played on greenlet (PyPI) as well, and must record the same there.
"""

from __future__ import annotations

import sys
import traceback
from typing import Any

import pytest
from helpers import Implementation, Log, same

from pycoro import Coroutine, CoroutineError, CoroutineExit, current

pytestmark = pytest.mark.usefixtures("quick_collections")


class Boom(Exception):
    pass


def functions_of(error: BaseException) -> list[str]:
    return [frame.name for frame in traceback.extract_tb(error.__traceback__)]


def own_functions_of(error: BaseException) -> list[str]:
    """Without those of the implementation: greenlet's are in C."""
    return [
        frame.name
        for frame in traceback.extract_tb(error.__traceback__)
        if "pycoro" not in frame.filename.rsplit("/", 2)[-2]
    ]


def test_exceptions_go_both_ways() -> None:
    def scenario(api: Implementation, log: Log) -> None:
        main = api.current()

        def run() -> None:
            try:
                main.switch("ready")
            except Boom as error:
                log.append(("inside", error.args))
            raise KeyError("out")

        coroutine = api.new(run)
        log.append(coroutine.switch())
        try:
            coroutine.throw(Boom("in"))
        except KeyError as error:
            log.append(("outside", error.args, error.__context__))
        log.append(coroutine.dead)

    assert same(scenario) == [
        "ready",
        ("inside", ("in",)),
        ("outside", ("out",), None),
        True,
    ]


FORMS: dict[str, tuple[Any, ...]] = {
    "nothing": (),
    "class": (Boom,),
    "instance": (Boom("x", "y"),),
    "class and value": (Boom, "x"),
    "class and arguments": (Boom, ("x", "y")),
    "class and instance": (Boom, Boom("z")),
    "class and instance of a subclass": (Exception, Boom("z")),
    "class, None, None": (Boom, None, None),
    "base exception": (KeyboardInterrupt,),
    "class, value that is another exception": (Boom, ValueError("w")),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_throw(form: str) -> None:
    def scenario(api: Implementation, log: Log) -> None:
        main = api.current()

        def run() -> None:
            try:
                main.switch()
            except BaseException as error:
                kind = "Exit" if isinstance(error, api.Exit) else type(error).__name__
                log.append((kind, repr(error.args), error.__context__, error.__cause__))

        coroutine = api.new(run)
        coroutine.switch()
        coroutine.throw(*FORMS[form])

    assert len(same(scenario)) == 1


BAD_FORMS: dict[str, tuple[Any, ...]] = {
    "a string": ("boom",),
    "a class that is no exception": (object,),
    "None": (None,),
    "an instance with a value": (Boom(), "value"),
    "a traceback that is none": (Boom, None, "traceback"),
    "a traceback that is a number": (Boom, None, 0),
}


@pytest.mark.parametrize("form", BAD_FORMS)
def test_bad_forms_of_throw_leave_everything_as_it_is(form: str) -> None:
    def scenario(api: Implementation, log: Log) -> None:
        main = api.current()
        coroutine = api.new(lambda: main.switch())
        try:
            coroutine.throw(*BAD_FORMS[form])
        except TypeError:
            log.append("TypeError")
        log.append((api.started(coroutine), coroutine.dead))
        coroutine.switch()
        try:
            coroutine.throw(*BAD_FORMS[form])
        except TypeError:
            log.append("TypeError")
        log.append((api.started(coroutine), coroutine.dead))
        log.append(coroutine.switch("goes on"))

    assert same(scenario) == [
        "TypeError",
        (False, False),
        "TypeError",
        (True, False),
        "goes on",
    ]


def test_an_exception_class_that_fails_to_construct() -> None:
    class Picky(Exception):
        def __init__(self, one: int, two: int) -> None:
            super().__init__(one, two)

    main = current()
    coroutine = Coroutine(lambda: main.switch())
    coroutine.switch()
    with pytest.raises(TypeError, match="missing 2 required"):
        coroutine.throw(Picky)
    assert not coroutine.dead
    with pytest.raises(Picky):
        coroutine.throw(Picky, (1, 2))


def test_throw_at_an_unstarted_one_kills_it_unrun() -> None:
    def scenario(api: Implementation, log: Log) -> None:
        def run() -> None:
            log.append("ran")

        coroutine = api.new(run)
        try:
            coroutine.throw(Boom("early"))
        except Boom as error:
            log.append(error.args)
        log.append((api.started(coroutine), coroutine.dead, coroutine.switch("after")))
        other = api.new(run)
        result = other.throw()
        log.append((isinstance(result, api.Exit), other.dead))

    assert same(scenario) == [("early",), (False, True, "after"), (True, True)]


def test_exit_comes_back_as_a_value() -> None:
    def scenario(api: Implementation, log: Log) -> None:
        main = api.current()

        def run() -> None:
            try:
                main.switch()
            finally:
                log.append("finally")

        thrown = api.Exit("bye")
        coroutine = api.new(run)
        coroutine.switch()
        log.append(coroutine.throw(thrown) is thrown)
        log.append(coroutine.throw(thrown) is thrown)
        result = coroutine.throw()
        log.append((type(result) is api.Exit, result.args))
        raiser = api.new(lambda: (_ for _ in ()).throw(api.Exit("own")))
        log.append(raiser.switch().args)

    assert same(scenario) == ["finally", True, True, (True, ()), ("own",)]


def test_throw_into_a_dead_one_raises_in_its_parent() -> None:
    def scenario(api: Implementation, log: Log) -> None:
        def parent() -> str:
            try:
                child.switch()
                main.switch("parent waits")
            except Boom as error:
                return f"parent caught {error}"
            return "nothing"

        main = api.current()
        top = api.new(parent)
        child = api.new(lambda: None, top)
        log.append(top.switch())
        log.append(child.throw(Boom("to the dead")))

    assert same(scenario) == ["parent waits", "parent caught to the dead"]


def test_throw_at_itself_and_at_main() -> None:
    def scenario(api: Implementation, log: Log) -> None:
        main = api.current()
        try:
            main.throw(Boom("self"))
        except Boom as error:
            log.append(error.args)
        coroutine = api.new(lambda: main.throw(Boom("to main")))
        try:
            coroutine.switch()
        except Boom as error:
            log.append(error.args)
        log.append((coroutine.dead, coroutine.switch("on")))

    assert same(scenario) == [("self",), ("to main",), (False, "on")]


def test_an_exception_passes_all_parents_that_do_not_catch() -> None:
    def scenario(api: Implementation, log: Log) -> None:
        def level(depth: int) -> None:
            try:
                if depth == 0:
                    raise Boom("bottom")
                api.new(level).switch(depth - 1)
            finally:
                log.append(depth)

        try:
            api.new(level).switch(3)
        except Boom as error:
            log.append((error.args, own_functions_of(error)))

    assert same(scenario) == [
        0,
        1,
        2,
        3,
        (("bottom",), ["scenario", "level", "level", "level", "level"]),
    ]


def test_unstarted_parents_die_unrun_of_a_child_s_exception() -> None:
    def scenario(api: Implementation, log: Log) -> None:
        def fail() -> None:
            raise Boom("x")

        parent = api.new(lambda *args: log.append("ran"))
        child = api.new(fail, parent)
        try:
            child.switch()
        except Boom:
            log.append((parent.dead, child.dead))

    assert same(scenario) == [(True, True)]


def test_the_exception_object_is_the_same_one() -> None:
    error = Boom()
    main = current()

    def run() -> None:
        try:
            main.switch()
        except Boom as caught:
            assert caught is error
            raise

    coroutine = Coroutine(run)
    coroutine.switch()
    with pytest.raises(Boom) as caught:
        coroutine.throw(error)
    assert caught.value is error
    assert functions_of(error)[-1] == "switch"
    assert "run" in functions_of(error)


def test_a_traceback_given_to_throw_is_in_front() -> None:
    def scenario(api: Implementation, log: Log) -> None:
        def origin() -> None:
            raise Boom("old")

        def run() -> None:
            main.switch()

        main = api.current()
        try:
            origin()
        except Boom:
            old = sys.exc_info()
        coroutine = api.new(run)
        coroutine.switch()
        try:
            coroutine.throw(*old)
        except Boom as error:
            log.append(own_functions_of(error))
        fresh = api.new(run)
        fresh.switch()
        try:
            fresh.throw(Boom, Boom("new"), old[2])
        except Boom as error:
            log.append((error.args, own_functions_of(error)))

    assert same(scenario)[0][-1] == "origin"


def test_context_of_exceptions_is_each_one_s_own() -> None:
    def scenario(api: Implementation, log: Log) -> None:
        def run() -> None:
            try:
                main.switch()
            except Boom:
                log.append(("inside", repr(sys.exc_info()[1].__context__)))  # type: ignore[union-attr]
                raise KeyError("second") from None

        def raises() -> None:
            raise Boom("child")

        main = api.current()
        coroutine = api.new(run)
        coroutine.switch()
        try:
            raise ValueError("outer")
        except ValueError:
            try:
                coroutine.throw(Boom("thrown"))
            except KeyError as error:
                log.append(("outside", repr(error.__context__), error.__suppress_context__))
            try:
                api.new(raises).switch()
            except Boom as error:
                log.append(("child's", repr(error.__context__)))
            try:
                api.new(raises).throw(Boom("kills"))
            except Boom as error:
                log.append(("killed", repr(error.__context__)))

    assert same(scenario) == [
        ("inside", "None"),
        ("outside", "Boom('thrown')", True),
        ("child's", "None"),
        ("killed", "None"),
    ]


def test_generator_s_return_and_stop_iteration_pass_like_others() -> None:
    def scenario(api: Implementation, log: Log) -> None:
        try:
            api.new(lambda: next(iter(()))).switch()
        except StopIteration:
            log.append("StopIteration")
        try:
            api.new(lambda: sys.exit(3)).switch()
        except SystemExit as error:
            log.append(error.code)

    assert same(scenario) == ["StopIteration", 3]


def test_to_a_dead_one_without_a_living_parent() -> None:
    # Reached only when a thread's main coroutine has ended.
    import threading

    kept: list[Coroutine] = []

    def thread() -> None:
        dead = Coroutine(lambda: None)
        dead.switch()
        kept.extend([dead, Coroutine(lambda: None), current()])

    worker = threading.Thread(target=thread)
    worker.start()
    worker.join()
    for coroutine in kept:
        for call in (coroutine.switch, coroutine.throw, lambda c=coroutine: c.switch(1, 2)):
            with pytest.raises(CoroutineError, match=r"thread|ended"):
                call()
    assert current().switch("fine") == "fine"
    assert Coroutine(lambda: "too").switch() == "too"


def test_a_failed_switch_changes_nothing() -> None:
    main = current()
    coroutine = Coroutine(lambda: main.switch("up"))
    assert coroutine.switch() == "up"
    with pytest.raises(TypeError):
        coroutine.throw(5)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        coroutine.switch(x=1)  # type: ignore[call-arg]
    assert coroutine.switch("value") == "value"


def test_coroutine_exit_is_no_exception() -> None:
    assert issubclass(CoroutineExit, BaseException)
    assert not issubclass(CoroutineExit, Exception)
    assert issubclass(CoroutineError, RuntimeError)
