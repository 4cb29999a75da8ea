"""pycoro.greenlet against greenlet (PyPI): names, messages, and corners that its tests leave out.

`both(scenario)` plays a scenario on each and insists that they record the same.
"""

from __future__ import annotations

import contextvars
import copy
import gc
import pickle
import sys
import types
import weakref
from collections.abc import Callable
from typing import Any

import greenlet
import pytest
from helpers import in_thread

import pycoro.greenlet

pytestmark = pytest.mark.usefixtures("quick_collections")

Log = list[Any]
NAMES = {
    "__del__",  # the collector unwinds by it
}


def both(scenario: Callable[[Any, Log], None]) -> Log:
    logs: list[Log] = []
    for api in (greenlet, pycoro.greenlet):
        logs.append([])
        scenario(api, logs[-1])
        gc.collect()
    theirs, ours = logs
    assert ours == theirs, "pycoro (left) and greenlet (right) differ"
    return ours


def outcome(function: Callable[[], Any]) -> Any:
    try:
        return function()
    except BaseException as error:
        return type(error).__name__, str(error)


def test_names() -> None:
    ours, theirs = pycoro.greenlet, greenlet
    assert set(ours.__all__) == set(theirs.__all__)
    public = {name for name in dir(theirs) if not name.startswith("__")} - {"tests", "platform"}
    assert public - set(dir(ours)) == set()
    inner = {name for name in dir(theirs._greenlet) if not name.startswith("__")}
    assert inner - set(dir(ours._greenlet)) <= {
        "UnswitchableGreenlet",
        "get_tstate_trash_delete_nesting",
    }
    assert set(dir(ours.greenlet)) == set(dir(theirs.greenlet)) | NAMES
    for name in ("GREENLET_USE_GC", "GREENLET_USE_TRACING", "GREENLET_USE_CONTEXT_VARS"):
        assert getattr(ours, name) == getattr(theirs, name)


def test_names_of_classes_and_functions() -> None:
    def scenario(api: Any, log: Log) -> None:
        for thing in (api.greenlet, api.GreenletExit, api.error, api.getcurrent, api.settrace):
            log.append((thing.__module__, thing.__name__, thing.__qualname__, repr(type(thing))))
        log.append(api.GreenletExit.__mro__[1:])
        log.append(api.error.__mro__[1:])
        log.append(api.greenlet.__basicsize__)
        log.append(
            [
                isinstance(api.greenlet.__dict__[name], types.GetSetDescriptorType)
                for name in ("run", "parent", "dead", "gr_frame", "gr_context")
            ]
        )
        log.append(api.greenlet.getcurrent is api.getcurrent)
        log.append(api.greenlet.GreenletExit is api.GreenletExit)

    both(scenario)


WRONG = {
    "three arguments": lambda api, g: api.greenlet(None, None, None),
    "unknown keyword": lambda api, g: api.greenlet(foo=1),
    "wrong parent": lambda api, g: api.greenlet(None, 3),
    "four to throw": lambda api, g: g.throw(1, 2, 3, 4),
    "keyword to throw": lambda api, g: g.throw(x=1),
    "throw a str": lambda api, g: g.throw("abc"),
    "throw a class of no exception": lambda api, g: g.throw(int),
    "instance and value": lambda api, g: g.throw(ValueError(), 3),
    "no traceback": lambda api, g: g.throw(ValueError, None, 3),
    "no run": lambda api, g: g.run,
    "no run to switch": lambda api, g: g.switch(1),
    "set dead": lambda api, g: setattr(g, "dead", 1),
    "set frame": lambda api, g: setattr(g, "gr_frame", 1),
    "set saved": lambda api, g: setattr(g, "_stack_saved", 1),
    "set context": lambda api, g: setattr(g, "gr_context", 1),
    "delete context": lambda api, g: delattr(g, "gr_context"),
    "delete parent": lambda api, g: delattr(g, "parent"),
    "parent None": lambda api, g: setattr(g, "parent", None),
    "parent itself": lambda api, g: setattr(g, "parent", g),
    "delete dict": lambda api, g: delattr(g, "__dict__"),
    "dict no dict": lambda api, g: setattr(g, "__dict__", 3),
    "main's run": lambda api, g: api.getcurrent().run,
    "set main's run": lambda api, g: setattr(api.getcurrent(), "run", 3),
    "delete main's run": lambda api, g: delattr(api.getcurrent(), "run"),
    "set main's parent": lambda api, g: setattr(api.getcurrent(), "parent", g),
    "delete main's parent": lambda api, g: delattr(api.getcurrent(), "parent"),
    "settrace of nothing": lambda api, g: api.settrace(),
    "settrace of two": lambda api, g: api.settrace(1, 2),
    "getcurrent of one": lambda api, g: api.getcurrent(1),
    "copy": lambda api, g: copy.copy(g),
    "deepcopy": lambda api, g: copy.deepcopy(g),
    "pickle": lambda api, g: pickle.dumps(g),
    "getstate": lambda api, g: g.__getstate__(),
}


@pytest.mark.parametrize("what", WRONG)
def test_refusals_are_worded_the_same(what: str) -> None:
    def scenario(api: Any, log: Log) -> None:
        one = api.greenlet()
        log.append(outcome(lambda: WRONG[what](api, one)))
        log.append((one.dead, bool(one), one.parent is api.getcurrent()))

    kind, text = both(scenario)[0]
    assert kind in ("TypeError", "AttributeError", "ValueError") and text


def test_run_can_be_set_and_deleted_before_the_start() -> None:
    def scenario(api: Any, log: Log) -> None:
        one = api.greenlet(len)
        log.append(one.run is len)
        del one.run
        log.append(outcome(lambda: one.run))
        one.run = lambda: "other"
        log.append(one.switch())
        log.append(outcome(lambda: one.run))
        log.append(outcome(lambda: setattr(one, "run", len)))

    both(scenario)


def test_what_arrives() -> None:
    def scenario(api: Any, log: Log) -> None:
        main = api.getcurrent()
        many = [
            ((), {}),
            ((1,), {}),
            ((1, 2), {}),
            ((None,), {}),
            (((),), {}),
            (((1, 2),), {}),
            ((), {"a": 1}),
            ((1,), {"a": 1}),
            ((1, 2), {"a": 1, "b": 2}),
        ]

        def run(*args: Any, **kwargs: Any) -> str:
            log.append(("run", args, kwargs))
            for more, keywords in many:
                log.append(("got", main.switch(*more, **keywords)))
            return "end"

        one = api.greenlet(run)
        log.append(one.switch(*many[-1][0], **many[-1][1]))
        for args, kwargs in many:
            log.append(one.switch(*args, **kwargs))
        log.append(one.switch("to a dead one", key=1))
        log.append(main.switch("to itself"))
        log.append(main.switch(1, 2, x=3))

    both(scenario)


def test_an_exception_keeps_and_loses_its_traceback_alike() -> None:
    def lines(error: BaseException) -> list[str]:
        found = []
        traceback = error.__traceback__
        while traceback is not None:
            found.append(traceback.tb_frame.f_code.co_name)
            traceback = traceback.tb_next
        return found

    def scenario(api: Any, log: Log) -> None:
        def run() -> None:
            try:
                api.getcurrent().parent.switch()
            except ValueError as error:
                log.append(lines(error))
                log.append((error.__context__, error.__cause__))
                raise

        def fail() -> None:
            raise ValueError("with a traceback")

        for how in ("instance", "class and traceback", "fresh"):
            one = api.greenlet(run)
            one.switch()
            try:
                fail()
            except ValueError:
                kind, value, traceback = sys.exc_info()
            try:
                if how == "instance":
                    one.throw(value)
                elif how == "fresh":
                    one.throw(ValueError)
                else:
                    one.throw(kind, value, traceback)
            except ValueError as error:
                log.append(lines(error))
            del value, traceback

    both(scenario)


def test_a_class_that_fails_to_be_made_is_thrown_as_what_it_raised() -> None:
    class Difficult(Exception):
        def __init__(self) -> None:
            raise KeyError("in __init__")

    def scenario(api: Any, log: Log) -> None:
        def run() -> str:
            return repr(outcome(api.getcurrent().parent.switch))

        one = api.greenlet(run)
        one.switch()
        log.append(one.throw(Difficult))
        one = api.greenlet(run)
        one.switch()
        log.append(one.throw(ValueError, (1, 2)))

    both(scenario)


def test_a_class_of_exceptions_that_cannot_be_asked_for_its_subclasses() -> None:
    class Meta(type):
        def __subclasscheck__(cls, other: type) -> bool:
            raise KeyError("asked")

    class Fails(Exception, metaclass=Meta):
        pass

    def scenario(api: Any, log: Log) -> None:
        one = api.greenlet(lambda: api.getcurrent().parent.switch())
        one.switch()
        log.append(outcome(lambda: one.throw(Fails("thrown"))))

    both(scenario)  # Python 3.11 asks at any raise, and has the KeyError instead


def test_run_that_is_looked_up_by_code() -> None:
    def scenario(api: Any, log: Log) -> None:
        main = api.getcurrent()

        class Lazy(api.greenlet):  # type: ignore[misc]
            def __getattribute__(self, name: str) -> Any:
                if name == "run":
                    log.append(("looked up by", api.getcurrent() is main))
                    if api.getcurrent() is main:
                        helper.switch()
                    return lambda *args: ("ran", args)
                return super().__getattribute__(name)

        def help_out() -> None:
            while True:
                log.append("helped")
                api.getcurrent().parent.switch()

        helper = api.greenlet(help_out)
        log.append(Lazy().switch(5))
        child = api.greenlet(lambda: "from the child", Lazy())
        log.append(child.switch())
        log.append(outcome(lambda: Lazy(parent=api.greenlet()).throw(KeyError, "thrown")))

    both(scenario)


def test_started_while_run_is_looked_up() -> None:
    def scenario(api: Any, log: Log) -> None:
        class Hasty(api.greenlet):  # type: ignore[misc]
            started = False

            def __getattribute__(self, name: str) -> Any:
                if name == "run" and not Hasty.started:
                    Hasty.started = True
                    log.append(self.switch("first"))
                return super().__getattribute__(name)

            def run(self, value: Any) -> str:
                while True:
                    value = self.parent.switch(("got", value))

        one = Hasty()
        log.append(one.switch("second"))
        log.append(one.switch("third"))
        one.throw()  # its frame refers to it: it would be there for good

    both(scenario)


def test_parents_that_cannot_go_on_pass_errors_to_theirs() -> None:
    def scenario(api: Any, log: Log) -> None:
        class NoRun(api.greenlet):  # type: ignore[misc]
            def __getattribute__(self, name: str) -> Any:
                if name == "run":
                    raise LookupError("no run")
                return super().__getattribute__(name)

        log.append(outcome(api.greenlet(lambda: 1, NoRun()).switch))
        log.append(outcome(api.greenlet(lambda: 1, api.greenlet(None, NoRun())).switch))
        chain = api.greenlet(lambda *args: ("last", args))
        for number in range(5):
            chain = api.greenlet(lambda *args, n=number: (n, args), chain)
        log.append(chain.switch("start"))

        def fail() -> None:
            raise KeyError("passed on")

        middle = api.greenlet(lambda: log.append("never run"))
        log.append(outcome(api.greenlet(fail, middle).switch))
        log.append((middle.dead, bool(middle)))

    both(scenario)


def test_a_tracer_that_switches_and_one_that_raises() -> None:
    def scenario(api: Any, log: Log) -> None:
        main = api.getcurrent()
        other = api.greenlet(lambda: [main.switch("helped") for _ in range(9)])

        def name(one: Any) -> str:
            return "main" if one is main else "other" if one is other else "one"

        def tracer(event: str, args: Any) -> None:
            log.append((event, *map(name, args)))
            if len(log) == 2:
                log.append(other.switch())
            if len(log) > 12:
                raise KeyError("enough")

        def run() -> str:
            for number in range(20):
                log.append(("run", outcome(lambda n=number: main.switch(n))))
            return "end"

        one = api.greenlet(run)
        log.append(api.settrace(tracer))
        try:
            for _ in range(10):
                log.append(("main", outcome(one.switch)))
            log.append(api.gettrace())
        finally:
            api.settrace(None)
        log.append(outcome(lambda: one.throw(ValueError("last"))))

    both(scenario)


def test_dropped_in_every_state_while_traced() -> None:
    def scenario(api: Any, log: Log) -> None:
        main = api.getcurrent()

        def run() -> None:
            try:
                main.switch()
            finally:
                log.append("unwound")

        api.settrace(lambda event, args: log.append((event, [each is main for each in args])))
        try:
            api.greenlet(run)
            one = api.greenlet(run)
            one.switch()
            del one
            api.greenlet(lambda: None).switch()
        finally:
            api.settrace(None)

    both(scenario)


def test_exit_that_is_ignored_is_complained_of(capsys: pytest.CaptureFixture[str]) -> None:
    def scenario(api: Any, log: Log) -> None:
        main = api.getcurrent()

        def run() -> None:
            while True:
                try:
                    main.switch()
                except api.GreenletExit:
                    log.append("ignored")

        one = api.greenlet(run)
        one.switch()
        seen = weakref.ref(one)
        del one
        log.append(capsys.readouterr().err.partition(" at ")[0])
        log.append(seen() is None)
        still = seen()
        if still is not None:
            log.append(bool(still))
            log.append(outcome(lambda: still.throw(KeyError, "in the end")))

    assert both(scenario)[:2] == ["ignored", "GreenletExit did not kill <greenlet.greenlet object"]


def test_resurrected_again_and_again_with_its_attributes() -> None:
    def scenario(api: Any, log: Log) -> None:
        main = api.getcurrent()
        lives: list[Any] = []

        class Cat(api.greenlet):  # type: ignore[misc]
            life = 0

        def run() -> str:
            while True:
                try:
                    main.switch()
                except api.GreenletExit:
                    me = api.getcurrent()
                    me.life += 1
                    log.append((type(me).__name__, me.life))
                    if me.life == 4:
                        raise
                    lives.append(me)
                    del me

        cat = Cat(run)
        cat.switch()
        del cat
        for _ in range(3):
            log.append(len(lives))
            lives.clear()
        log.append(len(lives))

    assert both(scenario)[-2:] == [("Cat", 4), 0]


def test_del_comes_before_the_exit() -> None:
    def scenario(api: Any, log: Log) -> None:
        main = api.getcurrent()

        class Mortal(api.greenlet):  # type: ignore[misc]
            def __del__(self) -> None:
                log.append(("__del__", bool(self)))

        def run() -> None:
            try:
                main.switch()
            finally:
                log.append("unwound")

        one = Mortal(run)
        one.switch()
        del one
        log.append("after")

    both(scenario)


def test_dropped_by_itself_it_ends_as_soon_as_it_is_left() -> None:
    def scenario(api: Any, log: Log) -> None:
        main = api.getcurrent()
        box: list[Any] = []

        def run() -> None:
            main.switch()
            box.clear()
            start.parent = main  # whose parent was the last to refer to us
            try:
                main.switch("left")
            finally:
                log.append("unwound")

        box.append(api.greenlet(run))
        box[0].switch()
        start = api.greenlet(lambda: None, box[0])
        log.append(start.switch())
        log.append("back")

    assert both(scenario) == ["unwound", "left", "back"]


def test_contexts() -> None:
    variable = contextvars.ContextVar("variable", default="none")

    def scenario(api: Any, log: Log) -> None:
        def run() -> str:
            log.append(variable.get())
            variable.set("of the greenlet")
            api.getcurrent().parent.switch()
            log.append(variable.get())
            return "end"

        variable.set("of main")
        one = api.greenlet(run)
        log.append(one.gr_context)
        one.switch()
        log.append((variable.get(), one.gr_context[variable]))
        shared = contextvars.copy_context()
        one.gr_context = shared
        one.switch()
        log.append(one.gr_context is shared)
        two = [api.greenlet(lambda: variable.set("shared")) for _ in range(2)]
        for each in two:
            each.gr_context = shared
            each.switch()
        log.append((shared[variable], variable.get()))
        variable.set("none")

    both(scenario)


def test_frames_of_suspended_ones() -> None:
    def scenario(api: Any, log: Log) -> None:
        main = api.getcurrent()

        def inner() -> None:
            main.switch()

        def outer() -> None:
            sorted([1], key=lambda _: inner())  # type: ignore[arg-type, return-value]

        def names(one: Any) -> list[str]:
            found, frame = [], one.gr_frame
            while frame is not None:
                found.append(frame.f_code.co_name)
                frame = frame.f_back
            return found

        one = api.greenlet(outer)
        log.append(names(one))
        one.switch()
        log.append(names(one))
        log.append(api.greenlet(lambda: names(main)[:1]).switch() == [])
        one.switch()
        log.append(names(one))

    assert both(scenario)[1] == ["inner", "<lambda>", "outer"]


def test_profilers_see_no_more_frames_than_with_pypis() -> None:
    def scenario(api: Any, log: Log) -> None:
        main = api.getcurrent()

        def run(value: Any) -> None:
            main.switch(value)
            raise KeyError

        def profile(frame: types.FrameType, event: str, arg: Any) -> None:
            log.append((event, frame.f_code.co_name))

        one = api.greenlet(run, api.greenlet(lambda: None))
        sys.setprofile(profile)
        try:
            one.switch(1)
            one.switch(2)
        except KeyError:
            pass
        finally:
            sys.setprofile(None)

    both(scenario)


def test_a_trace_function_that_switches_stops_tracing_in_all() -> None:
    def scenario(api: Any, log: Log) -> None:
        main = api.getcurrent()

        def run() -> None:
            log.append("in the greenlet")
            main.switch()
            log.append("again")

        def trace(frame: types.FrameType, event: str, arg: Any) -> None:
            log.append((event, frame.f_code.co_name))
            if frame.f_code.co_name == "traced" and event == "call":
                one.switch()

        def traced() -> None:
            pass

        one = api.greenlet(run)
        sys.settrace(trace)
        try:
            traced()
            one.switch()
        finally:
            sys.settrace(None)

    both(scenario)


def test_a_recursion_of_greenlets_comes_to_an_end() -> None:
    def scenario(api: Any, log: Log) -> None:
        def again() -> None:
            api.greenlet(again).switch()

        def calls_left(count: int = 0) -> int:
            try:
                return calls_left(count + 1)
            except RecursionError:
                return count

        def start_at(depth: int) -> int:
            return start_at(depth - 1) if depth else api.greenlet(calls_left).switch()

        with pytest.raises(RecursionError):
            again()
        log.append(start_at(0) - start_at(100))

    assert both(scenario) == [100]


def test_no_code_of_the_module_is_seen_by_trace_functions() -> None:
    def scenario(api: Any, log: Log) -> None:
        def run() -> None:
            sys.settrace(lambda frame, *_: log.append(frame.f_code.co_name))
            api.greenlet(lambda: None).switch()
            sys.settrace(None)

        in_thread(run)  # in which it is the first

    assert both(scenario) == ["<lambda>"]


def test_deep_chains_of_parents_are_deallocated() -> None:
    def scenario(api: Any, log: Log) -> None:
        chain = None
        for _ in range(10_000):
            chain = api.greenlet(int, chain)
        log.append(chain is not None)
        del chain

    scenario(pycoro.greenlet, [])  # PyPI's runs out of stack here


def test_weak_references_and_dictionaries_of_greenlets() -> None:
    def scenario(api: Any, log: Log) -> None:
        table: Any = weakref.WeakKeyDictionary()
        main = api.getcurrent()

        def run() -> None:
            table[api.getcurrent()] = "data"
            main.switch()

        ones = [api.greenlet(run) for _ in range(3)]
        for one in ones:
            one.switch()
        log.append(sorted(table.values()))
        del one
        ones.pop()
        log.append(len(table))
        ones.clear()
        log.append(len(table))

    both(scenario)
