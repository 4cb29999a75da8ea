"""What a running program tells of itself: trees of coroutines, run info; assert_switches and
wrap_errors."""

from __future__ import annotations

import copy
import io
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from helpers import in_thread, output_of, run_python

import pycoro
from pycoro import local, util
from pycoro.settings import config
from pycoro.util import GreenletTree, assert_switches


@pytest.fixture(autouse=True)
def _clean(clean_loop: None) -> None:
    pass


@pytest.fixture
def tracked() -> Iterator[None]:
    config.track_greenlet_tree = True
    yield
    config.track_greenlet_tree = False


def shape(tree: GreenletTree) -> Any:
    """Names, and those below; the loop, which may be as old as any of them, is the first."""
    name = tree.greenlet.name
    below = [shape(child) for child in tree.child_trees]
    below.sort(key=lambda one: one != "loop")
    return (name, *below) if below else name


def spawn(name: str, *args: Any) -> Any:
    """A task of that name."""
    task = pycoro.spawn(*args)
    task._name = name
    return task


def sleeper() -> None:
    pycoro.sleep(1000)


# ---- trees ----


def test_tasks_hang_from_who_spawned_them() -> None:
    def middle() -> None:
        leaves = [spawn(f"leaf {number}", sleeper) for number in (1, 2)]
        pycoro.joinall(leaves)

    tasks = [spawn("first", middle), spawn("second", sleeper)]
    pycoro.sleep(0.001)
    tree = GreenletTree.current_tree()
    assert shape(tree) == ("main", "loop", ("first", "leaf 1", "leaf 2"), "second")
    assert tree.greenlet is pycoro.current()
    assert tree.root and tree.is_current_tree
    first = tree.child_trees[1]
    assert not first.root and not first.is_current_tree
    assert first.parent is pycoro.get_loop()  # the coroutine's own attributes
    with pytest.raises(AttributeError, match="has no attribute 'colour'"):
        first.colour
    assert copy.copy(first).greenlet is tasks[0]
    lines = str(tree).split("\n")
    assert [line.split("<")[0] for line in lines] == [
        "",
        " +-- ",
        " +-- ",
        " |    +-- ",
        " |    +-- ",
        " +-- ",
    ]
    assert [line[line.index("<") :] for line in lines] == [
        repr(one)
        for one in (
            pycoro.current(),
            pycoro.get_loop(),
            tasks[0],
            *(child.greenlet for child in first.child_trees),
            tasks[1],
        )
    ]
    pycoro.killall([*tasks, *(child.greenlet for child in first.child_trees)])


def test_a_spawner_that_has_ended_stays_as_long_as_it_is_known() -> None:
    children: list[Any] = []

    def spawner() -> None:
        children.append(spawn("child", sleeper))

    task = spawn("spawner", spawner)
    pycoro.sleep(0)
    assert shape(GreenletTree.current_tree()) == ("main", "loop", ("spawner", "child"))
    del task
    pycoro.sleep(0)
    assert shape(GreenletTree.current_tree()) == ("main", "loop", "child")
    children.pop().kill()


def test_those_that_have_not_started() -> None:
    tasks = [pycoro.spawn(int), pycoro.spawn_later(1000, float)]
    assert shape(GreenletTree.current_tree()) == ("main", "loop", "int", "float")
    pycoro.killall(tasks)
    assert shape(GreenletTree.current_tree()) == ("main", "loop")


def test_plain_coroutines_hang_from_their_parents_and_a_circle_from_the_root() -> None:
    main = pycoro.current()

    def wait() -> None:
        main.switch()

    parent = pycoro.Coroutine(wait, name="parent")
    child = pycoro.Coroutine(wait, parent, name="child")
    parent.switch()
    child.switch()
    assert shape(GreenletTree.current_tree()) == ("main", "loop", ("parent", "child"))
    task = spawn("task", wait)
    task.switch()
    task.spawning_greenlet = lambda: parent
    parent.parent = task
    assert shape(GreenletTree.current_tree()) == ("main", "loop", ("task", ("parent", "child")))
    parent.parent = main
    child.switch()
    task.kill()


def test_a_long_line_of_spawners() -> None:
    tasks: list[Any] = []

    def link(depth: int) -> None:
        if depth:
            tasks.append(pycoro.spawn(link, depth - 1))
        sleeper()

    tasks.append(pycoro.spawn(link, 2000))
    pycoro.sleep(0.001)
    while len(tasks) < 2001:
        pycoro.sleep(0)
    lines = GreenletTree.current_tree().format_lines(False)
    assert len(lines) == 2003
    assert lines[-1].startswith(" " * 5 * 2000 + " +-- <Task")
    pycoro.killall(tasks)


def test_details(tracked: None) -> None:
    place = local.local()

    def body() -> None:
        pycoro.current().spawn_tree_locals["request"] = 17
        place.user = "Ada"
        pycoro.joinall([pycoro.spawn(sleeper)])

    task = pycoro.spawn(body)
    pycoro.sleep(0.001)
    (tree,) = [one for one in GreenletTree.current_tree().child_trees if one.greenlet is task]
    first = body.__code__.co_firstlineno
    lines = tree.format_lines()
    assert " |  Spawned at:" in lines
    place_of_spawn = test_details.__code__.co_firstlineno + 8
    start = lines.index(f' |    File "{__file__}", line {place_of_spawn}, in test_details')
    assert lines[start + 1 : start + 7] == [
        " |      task = pycoro.spawn(body)",
        " |  Spawn Tree Locals:",
        " |    {'request': 17}",
        next(line for line in lines if line.startswith(" |  local at 0x")),
        " |    {'user': 'Ada'}",
        f" +-- {tree.child_trees[0].greenlet!r}",
    ]
    assert lines[0] == repr(task)
    assert lines[1] == f" |  Parent: {pycoro.get_loop()!r}"
    assert lines[2].startswith(" |  Waits for: ")
    assert lines[3:6] == [
        " |  Suspended:",
        f' |    File "{__file__}", line {first + 3}, in body',
        " |      pycoro.joinall([pycoro.spawn(sleeper)])",
    ]
    below = lines[lines.index(f" +-- {tree.child_trees[0].greenlet!r}") :]
    assert below[2].startswith("         Waits for: Sleep, 999.")
    assert below[4:6] == [
        f'           File "{__file__}", line {sleeper.__code__.co_firstlineno + 1}, in sleeper',
        "             pycoro.sleep(1000)",
    ]
    # Without them, one by one.
    without = {"running_stacks": False, "spawning_stacks": False, "locals": False}
    assert [line.split(": ")[0] for line in tree.format_lines(without)] == [
        lines[0].split(": ")[0],
        " |  Parent",
        " |  Waits for",
        below[0].split(": ")[0],
        "         Parent",
        "         Waits for",
    ]
    assert tree.format({"running_stack_limit": 1}) != tree.format()
    with pytest.raises(ValueError, match="there are no such details: colours, names"):
        tree.format({"names": True, "colours": True})
    pycoro.killall([tree.child_trees[0].greenlet, task])


def test_the_running_one_shows_where_it_was_called() -> None:
    lines = GreenletTree.current_tree().format({"running_stack_limit": 1}).split("\n")
    start = lines.index(" |  Running:")
    here = test_the_running_one_shows_where_it_was_called.__code__
    assert lines[start + 1] == (
        f' |    File "{__file__}", line {here.co_firstlineno + 1}, in {here.co_name}'
    )


def test_reports_survive_whatever_a_repr_does() -> None:
    class Odd(pycoro.Task):
        def __repr__(self) -> str:
            raise ZeroDivisionError("no repr")

    task = Odd(sleeper)
    task.start()
    pycoro.sleep(0)
    text = GreenletTree.current_tree().format()
    assert f"<Odd {id(task):#x}: showing it raised ZeroDivisionError('no repr')>" in text
    task.kill()


def test_a_tree_for_each_thread() -> None:
    seen: list[Any] = []
    go_on = threading.Event()

    def other() -> None:
        def look() -> None:
            seen.append(threading.get_ident())
            go_on.wait()

        spawn("busy", look).join()

    thread = threading.Thread(target=other)
    thread.start()
    try:
        while not seen:
            time.sleep(0.001)
        mine, *others = GreenletTree.forest()
        assert shape(mine) == ("main", "loop")
        (theirs,) = [one for one in others if one.greenlet._thread.ident == seen[0]]
        assert shape(theirs) == ("main", "loop", "busy")
        assert [one.is_current_tree for one in (mine, theirs)] == [True, False]
        text = theirs.format()
        assert "in look" in text and "go_on.wait()" in text
        assert 'spawn("busy", look).join()' in text
    finally:
        go_on.set()
        thread.join()
    assert len(GreenletTree.forest()) == len(others)


# ---- run info ----


def test_run_info_of_all_threads() -> None:
    ready = threading.Event()
    go_on = threading.Event()

    def plain() -> None:
        ready.set()
        go_on.wait()

    thread = threading.Thread(target=plain, name="plain one")
    thread.start()
    ready.wait()
    task = spawn("sleeping task", sleeper)
    pycoro.sleep(0)
    stream = io.StringIO()
    util.print_run_info(file=stream)
    lines = stream.getvalue().split("\n")
    assert lines[1] == "* Threads" and "* Coroutines" in lines
    assert lines[3] == f"Thread {threading.get_ident():#x} (MainThread, current)"
    assert f"Thread {thread.ident:#x} (plain one)" in lines
    assert "    go_on.wait()" in lines
    assert f"---- of thread {threading.get_ident():#x} (MainThread)" in lines
    assert f" +-- {task!r}" in lines
    assert any(line.endswith("  pycoro.sleep(1000)") for line in lines)
    names = util.format_run_info(False, False)
    assert not any("pycoro.sleep(1000)" in line or "go_on.wait()" in line for line in names)
    assert any("sleeping task" in line for line in names)
    assert len(util.format_run_info(limit=1)) < len(lines)
    other = util.format_run_info(current_thread_ident=thread.ident)
    assert other[3] == f"Thread {thread.ident:#x} (plain one, current)"
    go_on.set()
    thread.join()
    task.kill()


def test_run_info_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    util.print_run_info(False, False)
    shown = capsys.readouterr()
    assert shown.out == "" and "* Coroutines" in shown.err


def test_gevent_has_the_same_functions(api: Any) -> None:
    task = api.spawn(api.sleep, 1000)
    api.settle()
    lines = api.util.format_run_info()
    text = "\n".join(lines)
    assert "* Threads" in text and repr(task) in text
    tree = api.util.GreenletTree.current_tree()
    assert tree.is_current_tree
    assert task in [child.greenlet for child in tree.child_trees]
    assert repr(task) in str(tree)
    assert repr(task) in tree.format()
    assert str(tree) == tree.format(False) == "\n".join(tree.format_lines(False))
    assert len(tree.format_lines(details=False)) < len(tree.format_lines(details=True))
    assert [one.is_current_tree for one in api.util.GreenletTree.forest()].count(True) == 1
    task.kill()


def test_a_signal_has_it_written() -> None:
    code = """
    import io, os, signal, sys
    import pycoro
    from pycoro import util

    def worker():
        os.kill(os.getpid(), signal.SIGUSR1)
        pycoro.sleep(0)

    assert util.dump_on_signal() is signal.SIG_DFL
    pycoro.spawn(worker).join()
    stream = io.StringIO()
    assert util.dump_on_signal(signal.SIGUSR2, stream) is signal.SIG_DFL
    os.kill(os.getpid(), signal.SIGUSR2)
    print("* Coroutines" in stream.getvalue())
    stream.close()
    os.kill(os.getpid(), signal.SIGUSR2)  # told of, and the program goes on
    try:
        pycoro.get_loop().enlist(None)
        pycoro.get_loop().pass_on()
    except pycoro.LoopExit:  # the handler is not taken for one that wakes somebody
        print("LoopExit")
    """
    done = run_python(code)
    assert (done.stdout, done.returncode) == ("True\nLoopExit\n", 0)
    assert "* Coroutines" in done.stderr and "in worker" in done.stderr
    assert "ValueError: I/O operation on closed file" in done.stderr


def test_a_signal_while_the_loop_sleeps() -> None:
    code = """
    import os, signal, threading
    import pycoro
    from pycoro import util
    from pycoro.blocking import is_asleep

    loop = pycoro.get_loop()
    main = threading.get_ident()
    util.dump_on_signal()
    def kill():
        while not is_asleep(loop, main): pass
        os.kill(os.getpid(), signal.SIGUSR1)
    thread = threading.Thread(target=kill)
    thread.start()
    task = pycoro.spawn(pycoro.sleep, 0.2)
    task.join()
    thread.join()
    """
    done = run_python(code)
    assert (done.stdout, done.returncode) == ("", 0)
    assert "Waits for: Sleep" in done.stderr


def test_a_signal_only_for_the_main_thread() -> None:
    with pytest.raises(ValueError, match="main thread"):
        in_thread(util.dump_on_signal)
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL


# ---- assert_switches ----


def nothing(api: Any) -> None:
    pass


def wait(api: Any) -> None:
    api.sleep(0.001)


def give_way(api: Any) -> None:
    api.sleep(0)


def block(api: Any) -> None:
    time.sleep(0.02)


def block_and_wait(api: Any) -> None:
    block(api)
    wait(api)


def wait_and_block(api: Any) -> None:
    wait(api)
    block(api)


def wait_for_one_that_blocks(api: Any) -> None:
    api.spawn(block, api).join()


@pytest.mark.parametrize(
    ("body", "arguments", "fails"),
    [
        (nothing, {}, True),
        (block, {}, True),
        (wait, {}, False),
        (give_way, {}, False),
        (block_and_wait, {}, False),
        (nothing, {"max_blocking_time": 10}, False),
        (wait, {"max_blocking_time": 10}, False),
        (block, {"max_blocking_time": 0.01}, True),
        (block_and_wait, {"max_blocking_time": 0.01}, True),
        (wait_for_one_that_blocks, {"max_blocking_time": 0.01}, True),
        (wait_for_one_that_blocks, {"max_blocking_time": 10}, False),
        (wait, {"max_blocking_time": 10, "hub_only": True}, False),
        (block, {"max_blocking_time": 0.01, "hub_only": True}, True),
        (wait_and_block, {"max_blocking_time": 0.01, "hub_only": True}, True),
    ],
)
def test_does_it_wait(api: Any, body: Any, arguments: Any, fails: bool) -> None:
    outcome = None
    try:
        with api.util.assert_switches(**arguments):
            body(api)
    except AssertionError as error:
        outcome = error
    assert (outcome is not None) == fails
    assert outcome is None or type(outcome) is api.util._FailedToSwitch


def test_two_differences_to_gevent(api: Any) -> None:
    def fails(body: Any, **arguments: Any) -> bool:
        try:
            with api.util.assert_switches(**arguments):
                body(api)
        except AssertionError:
            return True
        return False

    # Who is fast enough without any switch is so also by the hub's standard.
    assert fails(nothing, max_blocking_time=10, hub_only=True) == api.is_gevent
    # A block may have blocked before it waited the last time.
    assert fails(block_and_wait, max_blocking_time=0.01, hub_only=True) != api.is_gevent


def test_an_exception_of_the_block_is_not_replaced(api: Any) -> None:
    with pytest.raises(ZeroDivisionError), api.util.assert_switches():
        raise ZeroDivisionError


def test_what_is_said() -> None:
    with pytest.raises(
        util.FailedToSwitch,
        match=r"the main program did not wait in this block, which took 0\.\d{4} seconds",
    ):
        with assert_switches():
            pass
    with pytest.raises(
        util.FailedToSwitch,
        match=r"0\.\d{4} seconds without a wait in this block of Task '.*' \(allowed: 0\.001 ",
    ):

        def body() -> None:
            with assert_switches(0.001):
                block(None)

        pycoro.spawn(body).get()


def test_nested_and_side_by_side() -> None:
    log: list[Any] = []

    def body(name: str, waits: bool) -> None:
        try:
            with assert_switches(), assert_switches(max_blocking_time=10):
                if waits:
                    pycoro.sleep(0)
        except AssertionError:
            log.append(f"{name} failed")
        log.append(name)

    def outer() -> None:
        with assert_switches():
            body("within", False)
            pycoro.sleep(0)
        log.append("outer")

    pycoro.joinall([pycoro.spawn(body, "a", True), pycoro.spawn(outer), pycoro.spawn(body, "b", 1)])
    assert log == ["within failed", "within", "a", "outer", "b"]
    loop = pycoro.get_loop()
    assert loop.__dict__.keys() & {"pass_on", "stretches"} == set()
    assert loop._turn.callback == loop._look


def test_a_kill_in_the_block() -> None:
    log: list[Any] = []

    def body() -> None:
        try:
            with assert_switches():
                sleeper()
        except pycoro.GreenletExit:
            log.append("killed")
            raise

    task = pycoro.spawn(body)
    pycoro.sleep(0)
    task.kill()
    assert log == ["killed"]
    assert "pass_on" not in pycoro.get_loop().__dict__


def test_bad_arguments_of_assert_switches() -> None:
    with pytest.raises(ValueError, match=r"max_blocking_time must be .* not -1"):
        assert_switches(-1)
    with pytest.raises(TypeError, match=r"max_blocking_time must be .* not str"):
        assert_switches("1")  # type: ignore[arg-type]
    with assert_switches(1) as one, pytest.raises(RuntimeError, match="entered already"):
        one.__enter__()
    with one:  # again, once it is left
        pass


# ---- wrap_errors ----


def test_errors_become_values(api: Any) -> None:
    def divide(dividend: int, divisor: int = 0) -> Any:
        """Divides."""
        return dividend // divisor

    one = api.util.wrap_errors((ZeroDivisionError, TypeError), divide)
    assert one(6, divisor=2) == 3
    assert type(one(1)) is ZeroDivisionError
    assert type(one()) is TypeError
    assert str(one) == str(divide) and repr(one) == repr(divide)
    assert (one.__name__, one.__doc__, one.__wrapped__) == ("divide", "Divides.", divide)
    assert one.__defaults__ == (0,)
    only = api.util.wrap_errors(KeyError, divide)
    with pytest.raises(ZeroDivisionError):
        only(1)
    assert type(api.spawn(api.util.wrap_errors(ZeroDivisionError, divide), 1).get()) is (
        ZeroDivisionError
    )


def test_what_cannot_be_wrapped() -> None:
    with pytest.raises(TypeError, match="func must be callable, not int"):
        util.wrap_errors(KeyError, 3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="errors must be exception classes, not 'KeyError'"):
        util.wrap_errors((ValueError, "KeyError"), int)
    assert copy.copy(util.wrap_errors(ValueError, int))("x").args


def test_nothing_is_imported_that_costs() -> None:
    code = """
    import sys, pycoro
    print([name for name in ("logging", "pprint", "asyncio") if name in sys.modules])
    """
    assert output_of(code) == ["[]"]
