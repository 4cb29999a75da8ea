"""The end of the process with coroutines suspended: nothing crashes, hangs, or is left unsaid."""

from __future__ import annotations

import signal
import sys

import pytest
from helpers import output_of, run_python

# What 1 // 0 says.
ZERO = "integer division or modulo by zero" if sys.version_info < (3, 14) else "division by zero"

START = """
import atexit, os, sys, threading, time
from pycoro import Coroutine, CoroutineExit, current

def run(name="c", swallow=False):
    try:
        current().parent.switch("up")
    except CoroutineExit:
        print(name, "exit", flush=True)
        if not swallow:
            raise
        current().parent.switch("again")
    finally:
        print(name, "finally", flush=True)

def suspended(*arguments):
    coroutine = Coroutine(run)
    coroutine.switch(*arguments)
    return coroutine

"""


def ends_with(code: str, output: list[str], returncode: int = 0, stderr: str = "") -> None:
    done = run_python(START + "\n" + code, timeout=30)
    assert done.stdout.splitlines() == output
    assert done.stderr.strip().splitlines()[-1:] == ([stderr] if stderr else [])
    assert done.returncode == returncode


def test_finally_blocks_run_at_exit() -> None:
    ends_with(
        "kept = [suspended(n) for n in 'abc']",
        [f"{n} {e}" for n in "abc" for e in ("exit", "finally")],
    )


def test_in_a_cycle_and_in_a_builtin() -> None:
    ends_with(
        "c = suspended('cycle')\nsys.kept = [c]\nsys.kept.append(sys.kept)\ndel c",
        ["cycle exit", "cycle finally"],
    )


def test_one_that_swallows_exit_does_not_hang() -> None:
    ends_with("c = suspended('s', True)", ["s exit"])


def test_finally_blocks_that_make_more_do_not_hang() -> None:
    done = run_python(
        START
        + """
def endless():
    try:
        current().parent.switch()
    finally:
        kept.append(Coroutine(endless))
        kept[-1].switch()

kept = [Coroutine(endless)]
kept[0].switch()
print("end")
""",
        timeout=30,
    )
    assert (done.stdout, done.returncode) == ("end\n", 0)


def test_an_exception_while_unwinding_is_reported_and_the_rest_goes_on() -> None:
    code = """
def bad():
    try:
        current().parent.switch()
    finally:
        raise KeyError("in finally")

kept = [suspended("a"), Coroutine(bad), suspended("b")]
kept[1].switch()
"""
    ends_with(code, ["a exit", "a finally", "b exit", "b finally"], stderr="KeyError: 'in finally'")


def test_handlers_of_atexit_may_switch() -> None:
    code = """
early = suspended("registered before")

@atexit.register
def handler():
    print("handler", current().name)
    print(Coroutine(lambda: "made in atexit").switch())
    try:
        print(early.switch("resumed"))
    except BaseException as error:
        print(type(error).__name__)
"""
    ends_with(
        code,
        ["handler main", "made in atexit", "registered before finally", "None"],
    )


def test_handlers_registered_before_pycoro_run_after_it() -> None:
    assert output_of(
        """
        import atexit
        @atexit.register
        def handler():
            print(Coroutine(lambda: "still works").switch())
            print(kept.dead, repr(kept)[:10])
            late = Coroutine(lambda: current().parent.switch("left suspended"))
            print(late.switch())
            globals()["late"] = late

        from pycoro import Coroutine, current
        kept = Coroutine(lambda: current().parent.switch())
        kept.switch()
        """
    ) == ["still works", "True <Coroutine", "left suspended"]


def test_sys_exit_inside_a_coroutine() -> None:
    ends_with(
        "c = suspended('c')\nCoroutine(lambda: sys.exit(3)).switch()\nprint('not reached')",
        ["c exit", "c finally"],
        returncode=3,
    )


def test_os_exit_inside_a_coroutine() -> None:
    ends_with("c = suspended('c')\nCoroutine(lambda: os._exit(4)).switch()", [], returncode=4)


def test_an_exception_that_nobody_catches() -> None:
    ends_with(
        "c = suspended('c')\nCoroutine(lambda: 1 // 0).switch()",
        ["c exit", "c finally"],
        returncode=1,
        stderr="ZeroDivisionError: " + ZERO,
    )


def test_exit_from_inside_a_coroutine_that_ends_the_process_s_main() -> None:
    code = """
def deep():
    inner = Coroutine(lambda: sys.exit("bye"))
    try:
        inner.switch()
    finally:
        print("deep finally")

Coroutine(deep).switch()
"""
    ends_with(code, ["deep finally"], returncode=1, stderr="bye")


@pytest.mark.parametrize("where", ["sleeping", "running", "suspended", "waiting for a lock"])
def test_daemon_threads(where: str) -> None:
    code = f"""
where = {where!r}
lock = threading.Lock()
lock.acquire()

def busy():
    ready.release()
    if where == "sleeping":
        while True:
            time.sleep(0.001)
    elif where == "running":
        while True:
            sorted([2, 1], key=lambda item: item)
    elif where == "waiting for a lock":
        lock.acquire()
    else:
        current().parent.switch()

def thread():
    coroutine = Coroutine(busy)
    coroutine.switch()
    time.sleep(1000)

ready = threading.Semaphore(0)
for _ in range(4):
    threading.Thread(target=thread, daemon=True).start()
for _ in range(4):
    ready.acquire()
c = suspended("main's")
"""
    for _ in range(3):
        ends_with(code, ["main's exit", "main's finally"])


def test_other_threads_that_still_run_at_the_end() -> None:
    code = """
def thread():
    c = suspended("thread's")
    go.wait()

go = threading.Event()
threading.Thread(target=thread).start()
c = suspended("main's")
threading.Timer(0.05, go.set).start()
"""
    ends_with(code, ["thread's exit", "thread's finally", "main's exit", "main's finally"])


def test_interrupt_while_in_a_coroutine() -> None:
    code = """
import signal

def work():
    try:
        print("working")
        os.kill(os.getpid(), signal.SIGINT)
        while True:
            pass
    except KeyboardInterrupt:
        print("interrupted in", current().name)
        raise

try:
    Coroutine(work, name="worker").switch()
except KeyboardInterrupt:
    print("main too")
c = suspended()
print("goes on", Coroutine(lambda: 5).switch())
"""
    ends_with(
        code, ["working", "interrupted in worker", "main too", "goes on 5", "c exit", "c finally"]
    )


def test_interrupt_that_nobody_catches() -> None:
    done = run_python(
        START
        + """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
c = suspended()
Coroutine(lambda: (os.kill(os.getpid(), signal.SIGINT), time.sleep(20))).switch()
""",
        timeout=30,
    )
    assert done.stdout.splitlines() == ["c exit", "c finally"]
    assert done.stderr.rstrip().endswith("KeyboardInterrupt")
    assert done.returncode == -signal.SIGINT


def test_interrupts_at_any_moment_of_switching() -> None:
    lines = output_of(
        """
        import signal, sys
        from pycoro import Coroutine, current

        class Alarm(Exception):
            pass

        def handler(number, frame):
            global armed
            if armed:
                armed = False  # a second one must not hit the except clause
                raise Alarm

        def echo(value):
            while True:
                value = current().parent.switch(value)

        sys.unraisablehook = lambda arguments: None  # those that hit a __del__
        def play():  # on its own: a loop's jump back may be outside of the try block it is in
            global armed, coroutine
            armed = True
            coroutine = Coroutine(echo)
            value = 0
            while armed:  # an exception that hits a __del__ goes no further
                value += 1
                assert coroutine.switch(value) == value
                assert Coroutine(lambda: value).switch() == value

        armed = False
        signal.signal(signal.SIGALRM, handler)
        for turn in range(400):
            signal.setitimer(signal.ITIMER_REAL, 0.0002 + turn % 17 * 0.00005, 0.0005)
            try:
                play()
            except Alarm:
                pass
        signal.setitimer(signal.ITIMER_REAL, 0)
        del coroutine
        print(Coroutine(lambda: "works").switch())
        """,
        timeout=20,
    )
    assert lines == ["works"]


def test_modules_that_are_gone() -> None:
    done = run_python(
        START
        + """
c = suspended('c')
for name in [n for n in sys.modules if n.startswith('pycoro')]:
    del sys.modules[name]
""",
        timeout=30,
    )
    assert (done.stdout.splitlines(), done.stderr, done.returncode) == (
        ["c exit", "c finally"],
        "",
        0,
    )


def test_imported_a_second_time() -> None:
    lines = output_of(
        """
        import sys
        import pycoro

        def run(*values):
            return main.switch(values)

        main = pycoro.current()
        old = pycoro.Coroutine(run)
        old.switch(1)
        for name in [n for n in sys.modules if n.startswith("pycoro")]:
            del sys.modules[name]
        try:
            import pycoro
        except ImportError as error:
            print("refused")
        else:
            print(pycoro.Coroutine(lambda: "new").switch())
        print(old.switch())
        """
    )
    assert lines[-1] == "()"


def test_subinterpreters_are_refused_or_harmless() -> None:
    lines = output_of(
        """
        import sys
        from pycoro import Coroutine, current

        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters

        def run():
            while True:
                main.switch("alive")

        main = current()
        coroutine = Coroutine(run)
        coroutine.switch()
        for arguments in ({}, {"isolated": False}, "legacy"):
            try:
                if arguments == "legacy":
                    interpreter = interpreters.create("legacy")
                else:
                    interpreter = interpreters.create(**arguments)
            except (TypeError, ValueError):
                continue
            code = '''if True:
                try:
                    import pycoro
                except ImportError:
                    pass
                else:
                    assert pycoro.Coroutine(lambda: 5).switch() == 5
                '''
            try:
                interpreters.run_string(interpreter, code)
            finally:
                interpreters.destroy(interpreter)
        print(coroutine.switch())
        print(Coroutine(lambda: "new").switch(), current() is main)
        """
    )
    assert lines == ["alive", "new True"]
