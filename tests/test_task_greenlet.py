"""Greenlet as gevent has it: how one is made, its attributes, links, and who spawned whom."""

from __future__ import annotations

import contextvars
import gc
import traceback
import weakref
from typing import Any

import pytest
from helpers import in_thread, output_of
from peers import Api

import pycoro
from pycoro import Task, config
from pycoro.links import SpawnedLink


def fails(error: BaseException) -> None:
    raise error


# ---- making one ----


def test_ways_to_say_what_it_does(api: Api) -> None:
    def run(*args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    made = [
        api.Greenlet(run, 1, a=2),
        api.Greenlet(run=run),
        api.Greenlet(run=run, a=2),
        api.Greenlet(),
        api.Greenlet(None),
    ]
    for task in made:
        task.start()
    api.joinall(made)
    assert [task.value for task in made] == [((1,), {"a": 2}), ((), {}), ((), {"a": 2}), None, None]


def test_a_subclass_with_a_run_method(api: Api) -> None:
    class Adder(api.Greenlet):  # type: ignore[name-defined, misc]
        def __init__(self, *args: Any) -> None:
            self.before = "set before"
            super().__init__(None, *args)
            self.after = "set after"

        def _run(self, a: int, b: int = 10) -> Any:
            return a + b, self.before, self.after

    class Plain(api.Greenlet):  # type: ignore[name-defined, misc]
        def _run(self, *args: Any) -> Any:
            return args

    tasks = [Adder(1), Adder(1, 2)]
    for task in tasks:
        task.start()
    tasks += [Adder.spawn(5), Plain.spawn(None, 3, 4)]
    values = [task.get() for task in tasks]
    assert values[:3] == [(n, "set before", "set after") for n in (11, 3, 15)]
    assert values[3] == (3, 4)


def test_a_function_given_goes_before_the_method(api: Api) -> None:
    class Both(api.Greenlet):  # type: ignore[name-defined, misc]
        def _run(self) -> str:
            return "method"

    both = [Both.spawn(), Both.spawn(lambda: "function"), Both.spawn(run=lambda: "keyword")]
    assert [one.get() for one in both] == ["method", "function", "keyword"]


def test_the_method_of_the_base_class_does_nothing(api: Api) -> None:
    class Sub(api.Greenlet):  # type: ignore[name-defined, misc]
        def _run(self) -> Any:
            return super()._run(), "mine"

    assert Sub.spawn().get() == (None, "mine")


def test_init_called_at_last_and_start_overridden(api: Api) -> None:
    log: list[str] = []

    class Late(api.Greenlet):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            self.log = log
            api.Greenlet.__init__(self)

        def start(self) -> None:
            self.log.append("start")
            super().start()

        def _run(self) -> None:
            self.log.append("run")

    Late.spawn().join()
    assert log == ["start", "run"]


def test_what_cannot_be_called_is_refused(api: Api) -> None:
    class Bad(api.Greenlet):  # type: ignore[name-defined, misc]
        _run = 5

    for make in (
        lambda: api.Greenlet(5),
        lambda: api.Greenlet(run="x"),
        Bad,
        lambda: api.spawn(5),
        lambda: api.spawn_later(1),
        lambda: api.spawn_later(1, 5),
        lambda: api.spawn_raw(5),
        lambda: api.spawn(api.sleep, 0).rawlink(5),
        lambda: api.spawn(api.sleep, 0).link(None),
    ):
        with pytest.raises(TypeError):
            make()
    api.settle()


def test_arguments_can_be_seen_until_the_end(api: Api) -> None:
    task = api.spawn(lambda *args, **kwargs: api.sleep(0), 1, 2, a=3)
    seen = [(task.args, dict(task.kwargs))]
    api.sleep(0)
    seen.append((task.args, dict(task.kwargs)))
    task.join()
    seen.append((task.args, dict(task.kwargs)))
    assert seen == [((1, 2), {"a": 3}), ((1, 2), {"a": 3}), ((), {})]


def test_arguments_and_function_are_let_go_at_the_end(api: Api) -> None:
    class Thing:
        def method(self, *args: Any) -> None:
            pass

    things = [Thing() for _ in range(4)]
    weak = [weakref.ref(thing) for thing in things]
    tasks = [
        api.spawn(things[0].method, things[1]),
        api.spawn(things[2].method, a=things[3]),
    ]
    tasks[1].kill()
    things.clear()
    api.joinall(tasks)
    gc.collect()
    assert [one() for one in weak] == [None] * 4


# ---- states ----


def test_states(api: Api) -> None:
    def states(task: Any) -> Any:
        flags = (task.started, bool(task), task.ready(), task.successful(), task.dead)
        return [*map(bool, flags), task.value, task.exception]

    log: list[Any] = []
    task = api.Greenlet(lambda: log.append(states(api.getcurrent())))
    log.append(states(task))
    task.start()
    log.append(states(task))
    task.join()
    log.append(states(task))
    assert log == [
        [False, False, False, False, False, None, None],
        [True, True, False, False, False, None, None],
        [True, True, False, False, False, None, None],
        [False, False, True, True, True, None, None],
    ]


def test_states_of_one_that_fails(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    error = ValueError("oh no")
    task = api.spawn(fails, error)
    assert not task.exc_info
    task.join()
    assert (task.ready(), task.successful(), task.value) == (True, False, None)
    assert task.exception is error
    assert task.exc_info[:2] == (ValueError, error)
    assert "fails" in traceback.format_tb(task.exc_info[2])[-1]
    assert capsys.readouterr().err.count("ValueError: oh no") == 1
    for _ in range(3):
        with pytest.raises(ValueError, match="oh no") as caught:
            task.get()
    assert len(caught.traceback) < 8  # raising it again makes it no longer


def test_started_once(api: Api) -> None:
    log: list[str] = []
    task = api.spawn(log.append, "ran")
    for _ in range(2):
        task.start()
        task.start_later(0)
        task.join()
        api.sleep(0.001)
    assert log == ["ran"]


def test_run_does_it_here_and_now(api: Api) -> None:
    log: list[Any] = []

    def work() -> str:
        log.append(api.getcurrent() is here)
        return "done"

    here = api.getcurrent()
    tasks = [api.Greenlet(work), api.spawn(work), api.spawn_later(0, work)]
    for task in tasks:
        task.run()
    assert [(task.value, bool(task.ready())) for task in tasks] == [("done", True)] * 3
    api.sleep(0.001)
    assert log == [True] * 3


def test_switch_starts_it_at_once_and_the_loop_does_not_again(api: Api) -> None:
    log: list[str] = []

    def work() -> None:
        log.append("starts")
        api.sleep(0.001)
        log.append("ends")

    hub = api.get_hub()
    call_soon = hub.loop.run_callback if api.is_gevent else hub.call_soon
    tasks = [api.Greenlet(work), api.Greenlet(work)]
    for task in tasks:
        call_soon(task.switch)
    tasks[0].start()
    tasks[1].start_later(0.0005)
    api.joinall(tasks)
    assert log == ["starts", "starts", "ends", "ends"]


def test_throw_into_one_that_has_not_started(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    log: list[Any] = []
    tasks = [api.spawn(log.append, "runs"), api.Greenlet(log.append, "runs")]
    for task, error in zip(tasks, (KeyError("thrown"), api.GreenletExit()), strict=True):
        task.rawlink(lambda task: log.append(type(task.exception or task.value).__name__))
        task.throw(error)
        task.start()
    api.settle()
    assert log == ["KeyError", "GreenletExit" if api.is_gevent else "CoroutineExit"]
    assert capsys.readouterr().err.count("KeyError: 'thrown'") == 1


def test_as_a_context_manager(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    with api.spawn(lambda: "value") as task:
        assert not task.ready()
    assert task.value == "value"
    with pytest.raises(KeyError, match="mine"):
        with api.spawn(api.sleep, 100) as task:
            api.sleep(0)
            raise KeyError("mine")
    task.join()
    assert isinstance(task.exception, KeyError)
    assert "mine" in capsys.readouterr().err


# ---- names and numbers ----


def test_names(api: Api) -> None:
    task = api.spawn(api.sleep, 0)
    assert isinstance(task.name, str)
    task.name = "other"
    assert task.name == "other"
    assert "other" in repr(task)
    task.join()
    assert "other" in repr(task)


def test_a_name_is_what_it_runs() -> None:
    class Named(Task):
        def _run(self) -> None:
            pass

    names = [Task(fails).name, Task(weakref.ref, 1).name, Named().name]
    assert names[0] == "fails"
    assert names[1:] == ["ReferenceType", names[2]]
    assert names[2].endswith("Named")
    with pytest.raises(TypeError, match="name must be a str, not int"):
        Task(fails).name = 5  # type: ignore[assignment]


def test_minimal_idents_are_small_and_used_again(api: Api) -> None:
    tasks = [api.Greenlet() for _ in range(5)]
    first = [task.minimal_ident for task in tasks]
    assert len(set(first)) == 5
    assert first == [task.minimal_ident for task in tasks]
    freed = tasks[2].minimal_ident
    del tasks[2]
    gc.collect()
    assert api.Greenlet().minimal_ident == freed


def test_its_loop_and_frame() -> None:
    def work() -> None:
        pycoro.sleep(0)

    task = pycoro.spawn(work)
    assert task.loop is pycoro.get_loop()
    assert task.gr_frame is None
    assert isinstance(task.gr_context, contextvars.Context | None)
    pycoro.sleep(0)
    frame = task.gr_frame
    while frame is not None and frame.f_code is not work.__code__:
        frame = frame.f_back
    assert frame is not None
    task.join()
    assert task.gr_frame is None


# ---- who spawned whom ----


def test_who_spawned_it(api: Api) -> None:
    def parent() -> Any:
        child = api.spawn(api.sleep, 0)
        child.join()
        return child.spawning_greenlet() is api.getcurrent()

    task = api.spawn(parent)
    assert task.spawning_greenlet() is api.getcurrent()
    assert task.get() is True


def test_locals_of_the_tree(api: Api) -> None:
    def spawns(depth: int) -> list[Any]:
        here = api.getcurrent()
        here.spawn_tree_locals.setdefault("deepest", []).append(depth)
        if not depth:
            return [here.spawn_tree_locals]
        below = api.spawn(spawns, depth - 1).get()
        return [here.spawn_tree_locals, *below]

    one, other = api.spawn(spawns, 2), api.spawn(spawns, 1)
    api.joinall([one, other])
    assert [seen is one.value[0] for seen in one.value] == [True] * 3
    assert one.spawn_tree_locals == {"deepest": [2, 1, 0]}
    assert other.spawn_tree_locals == {"deepest": [1, 0]}


def test_locals_of_a_tree_whose_middle_has_ended(api: Api) -> None:
    def top() -> Any:
        api.getcurrent().spawn_tree_locals["key"] = "top's"
        return api.spawn(middle).get()

    def middle() -> Any:
        return api.spawn(lambda: (api.sleep(0.001), api.getcurrent().spawn_tree_locals)[1])

    leaf = api.spawn(top).get()
    gc.collect()
    assert leaf.get() == {"key": "top's"}


@pytest.fixture
def tracked() -> Any:
    config.track_greenlet_tree = True
    yield
    config.track_greenlet_tree = False


def test_the_stack_that_it_was_spawned_on(tracked: None) -> None:
    def spawns() -> Task:
        return pycoro.spawn(fails)

    task = spawns()
    names = [entry.name for entry in traceback.extract_stack(task.spawning_stack)]  # type: ignore[arg-type]
    assert names[-2:] == ["test_the_stack_that_it_was_spawned_on", "spawns"]
    assert len(names) == Task.spawning_stack_limit
    task.kill()


def test_the_stack_is_not_kept_unless_wanted() -> None:
    task = Task()
    assert task.spawning_stack is None
    with pytest.raises(TypeError, match="must be True or False"):
        config.track_greenlet_tree = 5  # type: ignore[assignment]
    with pytest.raises(AttributeError, match="there is no setting 'speed'"):
        config.speed = 11
    config.resolver = "ares"  # gevent's, without effect


@pytest.mark.parametrize(("value", "wanted"), [("1", "True"), ("no", "False"), ("", "False")])
def test_settings_from_the_environment(value: str, wanted: str) -> None:
    code = "import pycoro; print(pycoro.config.track_greenlet_tree)"
    assert output_of(code, PYCORO_TRACK_GREENLET_TREE=value) == [wanted]


def test_callbacks_of_spawning(api: Api) -> None:
    seen: list[Any] = []
    api.Greenlet.add_spawn_callback(seen.append)
    api.Greenlet.add_spawn_callback(seen.append)
    try:
        tasks = [api.spawn(int), api.spawn_later(0, int), api.Greenlet(int)]
        assert seen == tasks[:2]
        tasks[2].start()
    finally:
        api.Greenlet.remove_spawn_callback(seen.append)
        api.Greenlet.remove_spawn_callback(seen.append)
    assert seen == tasks
    tasks.append(api.spawn(int))
    api.joinall(tasks)
    assert len(seen) == 3


# ---- links ----


def test_links_of_all_kinds(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    log: list[Any] = []

    def tells(kind: str) -> Any:
        return lambda task: log.append((kind, task.value, type(task.exception)))

    for call in ((lambda: "value",), (fails, KeyError("x"))):
        task = api.spawn(*call)
        task.link(tells("link"))
        task.link_value(tells("value"))
        task.link_exception(tells("exception"))
        task.rawlink(tells("raw"))
        task.join()
        log.append("joined")
    ours = [("link", "value"), ("value", "value"), ("raw", "value"), "joined"]
    assert [entry[:2] if entry != "joined" else entry for entry in log[:4]] == ours
    assert log[4:] == [
        ("link", None, KeyError),
        ("exception", None, KeyError),
        ("raw", None, KeyError),
        "joined",
    ]
    capsys.readouterr()


def test_a_link_may_wait_and_others_go_on(api: Api) -> None:
    log: list[str] = []

    def waits(task: Any) -> None:
        log.append("first begins")
        api.sleep(0.001)
        log.append("first ends")

    task = api.spawn(int)
    task.link(waits)
    task.link(lambda task: log.append("second"))
    task.rawlink(lambda task: log.append("third"))
    task.join()
    api.sleep(0.005)
    assert log == ["first begins", "second", "third", "first ends"]


def test_links_of_one_that_has_ended(api: Api) -> None:
    log: list[str] = []
    task = api.spawn(int)
    task.join()
    task.link(lambda task: log.append("link"))
    task.rawlink(lambda task: log.append("raw"))
    assert log == []
    api.settle()
    assert log == ["link", "raw"]


def test_unlinking(api: Api) -> None:
    log: list[Any] = []
    task = api.spawn(int)
    for _ in range(2):
        task.link(log.append)
    task.rawlink(log.append)
    task.unlink(log.append)
    task.unlink(print)
    assert task.has_links()
    task.unlink(log.append)
    task.unlink(log.append)
    assert not task.has_links()
    task.link_value(log.append)
    task.rawlink(print)
    task.unlink_all()
    task.join()
    api.settle()
    assert log == []


def test_links_that_change_the_links(api: Api) -> None:
    log: list[str] = []

    def first(task: Any) -> None:
        log.append("first")
        task.unlink(removed)
        task.rawlink(lambda task: log.append("added"))

    def removed(task: Any) -> None:
        log.append("removed")

    task = api.spawn(int)
    for link in (first, removed, lambda task: log.append("last")):
        task.rawlink(link)
    task.join()
    api.settle()
    assert log == ["first", "last", "added"]


def test_a_link_that_fails_is_reported_and_the_others_are_called(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    log: list[str] = []
    task = api.spawn(int)
    task.rawlink(lambda task: fails(KeyError("raw one")))
    task.link(lambda task: fails(KeyError("spawned one")))
    task.rawlink(lambda task: log.append("called"))
    task.join()
    api.settle()
    text = capsys.readouterr().err
    assert text.count("KeyError: 'raw one'") == text.count("KeyError: 'spawned one'") == 1
    assert log == ["called"]


def test_a_link_equals_its_callback() -> None:
    link = SpawnedLink(print)
    assert (link == print, link == SpawnedLink(print), link == len) == (True, True, False)
    assert hash(link) == hash(print)
    assert repr(link) == "<SpawnedLink <built-in function print>>"


# ---- policies for one spawn ----

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="none")


def test_contexts_for_one_spawn() -> None:
    def sets(value: str) -> str:
        before = VARIABLE.get()
        VARIABLE.set(value)
        return before

    VARIABLE.set("maker's")
    own = contextvars.copy_context()
    own.run(VARIABLE.set, "own")
    log: list[Any] = []
    for context in ("copy", "empty", own, "share"):
        task = Task.make(sets, (str(context)[:5],), context=context)
        task.start()
        log.append((task.get(), VARIABLE.get()))
    assert log == [
        ("maker's", "maker's"),
        ("none", "maker's"),
        ("own", "maker's"),
        ("maker's", "share"),
    ]
    assert own[VARIABLE] == str(own)[:5]


def test_stack_sizes_and_names_for_one_spawn() -> None:
    task = Task.make(int, name="small", stack_size=256 << 10)
    assert (task.name, task.stack_size) == ("small", 256 << 10)
    task.start()
    assert task.get() == 0

    class Own(Task):
        def _run(self, a: int, b: int) -> int:
            return a + b

    own = Own.make(None, (1,), {"b": 2}, name="own")
    own.start()
    assert (type(own), own.name, own.get()) == (Own, "own", 3)
    for bad in ({"name": 5}, {"stack_size": "x"}, {"stack_size": 5}, {"context": "none"}):
        with pytest.raises((TypeError, ValueError)):
            Task.make(int, **bad)  # type: ignore[arg-type]


# ---- raw ones ----


def test_spawn_raw(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    log: list[Any] = []

    def work(*args: Any, **kwargs: Any) -> None:
        log.append((args, kwargs))
        api.sleep(0)
        log.append("end")

    raw = api.spawn_raw(work, 1, a=2)
    assert log == []
    assert not raw.dead
    failing = api.spawn_raw(fails, KeyError("raw"))
    quiet = api.spawn_raw(fails, api.GreenletExit())
    api.settle()
    assert log == [((1,), {"a": 2}), "end"]
    assert raw.dead and failing.dead and quiet.dead
    assert not (raw or failing or quiet)
    assert raw.loop is not None
    assert raw.spawning_greenlet() is api.getcurrent()
    text = capsys.readouterr().err
    assert (text.count("KeyError: 'raw'"), text.count("Traceback")) == (1, 1)


# ---- of other threads ----


def test_another_thread_s_task_is_refused_and_unharmed() -> None:
    task = pycoro.spawn(int)
    later = pycoro.spawn_later(0, int)

    def use() -> list[str]:
        errors = []
        for call in (
            task.join,
            task.get,
            task.result,
            task.kill,
            task.run,
            task.switch,
            task.throw,
            task.start,
            later.kill,
            lambda: task.rawlink(print),
            lambda: pycoro.wait([task]),
            lambda: list(pycoro.iwait([task])),
            lambda: pycoro.killall([task]),
            lambda: pycoro.kill(task),
            lambda: pycoro.kill(main),
        ):
            try:
                call()
            except pycoro.InvalidThreadUseError as error:
                errors.append(str(error))
        return errors

    main = pycoro.getcurrent()
    errors = in_thread(use)
    assert len(errors) == 15
    assert all("belongs to another thread" in error for error in errors)
    assert pycoro.joinall([task, later]) == [task, later]
    assert issubclass(pycoro.InvalidThreadUseError, RuntimeError)
