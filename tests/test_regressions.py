"""What once crashed, hung or went to the wrong one: each scenario as small as it gets.

All play in a process of their own, for a failure is mostly a segfault. Memory of objects that
should have been forgotten is overwritten before it is looked at again (SPOIL).
"""

from __future__ import annotations

import signal

import pytest
from helpers import needs_reuse, output_of, run_python

START = """
import faulthandler, gc, os, signal, sys, threading
import pycoro
from pycoro import Coroutine, CoroutineExit, current

SPOIL = "junk = [bytes(range(40, 40 + n % 200)) for n in range(3000)]"
main = current()

def suspend():
    try:
        main.switch()
    finally:
        print("unwound", flush=True)

def interrupt(function, at):
    "KeyboardInterrupt before the line of that number, counted from 1, that runs in the function."
    lines = []
    def local(frame, event, arg):
        lines.append(event)
        if lines.count("line") == at:
            sys.settrace(None)
            raise KeyboardInterrupt
        return local
    sys.settrace(lambda frame, *_: local if frame.f_code.co_name in function else None)

"""


def prints(code: str, *lines: str) -> None:
    assert output_of(START + code, timeout=30) == list(lines)


@pytest.mark.parametrize("how", ["class C", "assigned"])
def test_a_del_of_a_subclass_does_not_hide_the_death(how: str) -> None:
    """The object's address was left behind where a subclass' __del__ does not call super."""
    prints(
        f"""
class C(Coroutine):
    __slots__ = ()
    def __del__(self): pass

for _ in range(50):
    c = (C if {how!r} == "class C" else Coroutine)(lambda: main.switch())
    c.switch()
    c.__class__ = C
    del c
exec(SPOIL)
print("end")
""",
        "end",
    )


def test_the_running_ones_last_reference_goes_at_the_recursion_limit() -> None:
    """No Python code can run then, not even what keeps the running one's object."""
    done = run_python(
        START
        + """
xs, ys = [], []

def x():
    main.switch()
    ys[0].parent = main
    ys.clear()
    def deep():
        try:
            deep()
        except RecursionError:
            xs.clear()
    deep()
    exec(SPOIL)
    print(current().name, current() is current())
    main.switch()

xs.append(Coroutine(x))
xs[0].switch()
ys.append(Coroutine(lambda: None, parent=xs[0]))
Coroutine.switch(ys[0])
print("end")
"""
    )
    assert done.stdout.splitlines() == ["x True", "end"], done.stderr[-1000:]
    assert done.returncode == 0


def test_one_that_is_started_while_it_is_being_started() -> None:
    """By a signal handler or finalizer, say: it had two stacks, one of them nobody's."""
    done = run_python(
        START
        + """
def tracer(frame, event, arg):
    if frame.f_code.co_name == "_prepare":
        sys.settrace(None)
        frame.f_locals["self"].switch()

for _ in range(20):
    c = Coroutine(suspend)
    sys.settrace(tracer)
    try:
        c.switch()
    except RuntimeError:
        pass
    finally:
        sys.settrace(None)
    del c
exec(SPOIL)
print("end")
"""
    )
    assert done.stdout.splitlines() == ["unwound"] * 20 + ["end"], done.stderr[-1000:]
    assert done.returncode == 0


def test_ctrl_c_between_the_stack_and_the_first_switch() -> None:
    """It can be started again, once, and its arguments are arguments."""
    prints(
        """
wrong = []
for at in range(1, 20):
    runs = []
    c = Coroutine(runs.append)
    interrupt(("switch", "_switch_slowly", "_prepare"), at)
    try:
        c.switch(0)
    except KeyboardInterrupt:
        pass
    sys.settrace(None)
    if not c.dead:
        c.switch(1)
    if not c.dead or not c.started or len(runs) != 1:
        wrong.append((at, c.dead, c.started, runs))
print(wrong)
""",
        "[]",
    )


STALE = """
log, kept = [], []
home = [main]

def target():
    log.append(("target", home[-1].switch()))

def other():
    log.append(("other", home[-1].switch()))

def end_target():
    home.append(current())
    a.parent = home[-1]
    a.switch("first")
    kept.append(Coroutine(other))
    kept[0].switch()  # on the same stack
    kept[0].parent = main
    del home[1:]

a = Coroutine(target)
a.switch()
"""


@needs_reuse
def test_the_target_ends_while_another_threads_drop_is_served() -> None:
    """The value is for `a`, which has ended: it goes to its parent, and not to the new owner of
    its stack."""
    prints(
        STALE
        + """
def victim():
    try:
        main.switch()
    finally:
        end_target()
        a.parent = main

box = [Coroutine(victim)]
box[0].switch()
thread = threading.Thread(target=box.clear)
thread.start()
thread.join()
try:
    a.switch("for a alone")
except pycoro.CoroutineError:
    pass
print(log)
""",
        "[('target', 'first')]",
    )


@needs_reuse
def test_the_target_ends_while_a_tracer_looks_at_the_switch() -> None:
    prints(
        STALE
        + """
lines = []

def local(frame, event, arg):
    lines.append(event)
    if lines.count("line") == 2 and not kept:
        end_target()
        a.parent = main
    return local

sys.settrace(lambda frame, *_: local if frame.f_code.co_name == "switch" else None)
try:
    a.switch("for a alone")
except pycoro.CoroutineError:
    pass
finally:
    sys.settrace(None)
print(log)
""",
        "[('target', 'first')]",
    )


@needs_reuse
def test_the_target_ends_while_the_collector_runs_in_between() -> None:
    """On 3.11 any allocation of a tuple may start it, later versions between two calls."""
    prints(
        STALE
        + """
class Bomb:
    def __init__(self):
        self.me = self

    def __del__(self):
        if not kept and current() is main:
            end_target()
            a.parent = main

wrong = []
for threshold in range(1, 40):
    a = Coroutine(target)
    a.switch()
    kept.clear()
    log.clear()
    gc.disable()
    Bomb()
    gc.set_threshold(threshold)
    gc.enable()
    try:
        a.switch("for a alone", 2)
    except pycoro.CoroutineError:
        pass
    gc.disable()
    wrong += [entry for entry in log if entry[0] == "other" and entry[1] != ()]
    gc.collect()
print(wrong)
""",
        "[]",
    )


def test_ctrl_c_while_a_thread_begins() -> None:
    """Nothing held the main coroutine's object yet."""
    prints(
        """
def begin():
    for at in range(1, 20):
        interrupt(("begin", "_begin_thread"), at)
        try:
            current()
        except KeyboardInterrupt as error:
            error.__traceback__ = None
        sys.settrace(None)
        gc.collect()
        gc.collect()
        exec(SPOIL)
    print(current() is current(), current().name)

thread = threading.Thread(target=begin)
thread.start()
thread.join()
""",
        "True main",
    )


def test_faulthandler_that_came_and_went_leaves_a_fault_fatal() -> None:
    """Two handlers took each other for the former one; the fault came again for ever."""
    done = run_python(
        START
        + """
import ctypes, resource
resource.setrlimit(resource.RLIMIT_CPU, (5, 5))
faulthandler.enable()
thread = threading.Thread(target=current)
thread.start()
thread.join()
faulthandler.disable()
ctypes.string_at(0)
"""
    )
    assert done.returncode == -signal.SIGSEGV


def test_a_name_with_a_finalizer() -> None:
    """Let go of at the very end, it saw a running coroutine without an object."""
    done = run_python(
        START
        + """
class Name(str):
    def __del__(self):
        print("current", current() is not None, flush=True)

box = [Coroutine(suspend, name=Name("long gone"))]
box[0].switch()

def deep():
    try:
        deep()
    except RecursionError:
        box.clear()

deep()
Coroutine(lambda: None).switch()
print("main", current() is main)
"""
    )
    assert done.stdout.splitlines()[-1:] == ["main True"], done.stderr[-1000:]
    assert done.returncode == 0


def test_one_that_is_dropped_while_all_are_unwound() -> None:
    """It was unwound, and then refused as one that had ended, with a report on stderr."""
    prints(
        """
box = []
go = threading.Event()
thread = threading.Thread(target=lambda: (go.wait(), box.clear()), daemon=True)
thread.start()  # at exit none can be started

def first():
    try:
        main.switch()
    finally:
        go.set()
        thread.join()

a = Coroutine(first)
a.switch()
box.append(Coroutine(suspend))
box[0].switch()
""",
        "unwound",
    )


def test_containers_die_on_the_smallest_stack() -> None:
    """From 3.14 the interpreter puts deallocations off where little stack is left: for good,
    where there never was more."""
    prints(
        """
class Counted:
    dead = 0
    def __del__(self):
        Counted.dead += 1

def run():
    for _ in range(100):
        [Counted()]

for _ in range(10):
    Coroutine(run, stack_size=pycoro._native.STACK_LEAST).switch()
print(Counted.dead)
""",
        "1000",
    )


def test_whoever_looks_at_an_object_does_not_hide_its_death() -> None:
    """A memory profiler asks the collector for all that an object refers to, and keeps it."""
    prints(
        """
class C(Coroutine):
    def __del__(self): pass

kept = []
for _ in range(50):
    c = C(lambda: main.switch())
    c.switch()
    kept += [thing for thing in gc.get_referents(c) if type(thing).__module__ == "pycoro"]
    del c
exec(SPOIL)
print("end")
""",
        "end",
    )


def test_a_new_parent_while_parents_are_a_cycle() -> None:
    """One that is unwound has whoever unwinds it for a parent, be that its descendant."""
    prints(
        """
def x_run():
    try:
        y.switch()
    finally:
        z = Coroutine(print)
        z.parent = x
        print("fine")

def y_run():
    pycoro.threads.unwind_all(main._thread)

x = Coroutine(x_run)
y = Coroutine(y_run, parent=x)
x.switch()
""",
        "fine",
    )
