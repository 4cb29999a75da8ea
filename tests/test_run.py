"""run(), of which nothing is left; the end of the interpreter with tasks alive; fork in a task."""

from __future__ import annotations

import gc
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from helpers import in_thread, output_of, run_python

import pycoro
from pycoro import CoroutineExit, _native, run, sleep, spawn, spawn_later, spawn_raw
from pycoro.event import Event
from pycoro.lock import Semaphore


def descriptors() -> list[str]:
    return sorted(path.name for path in Path("/proc/self/fd").iterdir())


# ---- its result ----


def test_it_gives_what_main_gives_or_raises() -> None:
    def main(a: int, b: int) -> int:
        return spawn(lambda: a + b).get()

    assert run(main, 1, 2) == 3
    with pytest.raises(ZeroDivisionError):
        run(lambda: 1 // 0)
    with pytest.raises(SystemExit, match="bye"):
        run(lambda: spawn(exits).join())
    with pytest.raises(KeyboardInterrupt):
        run(lambda: spawn(interrupts).join())
    with pytest.raises(pycoro.LoopExit):
        run(lambda: Event().wait())
    assert run(lambda: "works") == "works"


def exits() -> None:
    raise SystemExit("bye")


def interrupts() -> None:
    raise KeyboardInterrupt


def test_main_is_called_in_the_main_program() -> None:
    assert run(pycoro.getcurrent) is pycoro.getcurrent()
    assert in_thread(lambda: run(pycoro.getcurrent) is pycoro.getcurrent())


def test_where_it_is_refused() -> None:
    def nested() -> None:
        with pytest.raises(RuntimeError, match="under way in this thread already"):
            run(int)

    run(nested)
    with pytest.raises(RuntimeError, match="for a thread's main program"):
        run(lambda: spawn(run, int).get())
    with pytest.raises(RuntimeError, match="for a thread's main program"):
        pycoro.Coroutine(lambda: run(int)).switch()
    for arguments in (5,), (None,):
        with pytest.raises(TypeError, match="main must be callable"):
            run(*arguments)
    with pytest.raises(TypeError, match="a number of seconds"):
        run(int, grace="long")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not NaN"):
        run(int, grace=float("nan"))


# ---- what is left: nothing ----


def test_nothing_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    log: list[str] = []

    def work(name: str) -> None:
        try:
            sleep(1000)
        except CoroutineExit:
            log.append(f"{name} is killed")
            raise
        finally:
            sleep(0.001)
            log.append(f"{name} ends")

    def main() -> None:
        loops.append(pycoro.get_loop())
        kept.extend(spawn(work, name) for name in "ab")
        spawn_raw(work, "raw")
        sleep(0)
        kept.append(spawn_later(1000, work, "later"))
        kept.append(pycoro.Task(work, "unstarted"))
        pycoro.get_loop().call_later(1000, log.append, "timer")
        pycoro.get_loop().call_soon(sleep, 0)
        pycoro.Timeout(1000).start()
        pair.extend(pycoro.socket.socketpair())
        spawn(pair[0].recv, 1)
        pycoro.get_loop().add_reader(pair[1], log.append, "readable")
        sleep(0)
        kept.append(spawn(work, "starting"))

    loops: list[Any] = []
    kept: list[Any] = []
    pair: list[Any] = []
    run(lambda: sleep(0))
    gc.collect()
    before = descriptors(), _native.count_in_use(), signal.getsignal(signal.SIGINT)
    run(main)
    for one in pair:
        one.close()
    assert sorted(log) == sorted(
        f"{name} {what}" for name in ("a", "b", "raw") for what in ("is killed", "ends")
    )
    assert [task.ready() for task in kept] == [True, True, True, False, True]
    assert loops[0].closed and loops[0].dead
    assert pycoro.getcurrent()._thread.loop is None
    gc.collect()
    assert (descriptors(), _native.count_in_use(), signal.getsignal(signal.SIGINT)) == before
    assert "must not wait" in capsys.readouterr().err  # the callback that slept


def test_as_often_as_one_likes() -> None:
    def main(number: int) -> int:
        tasks = [spawn(sleep, 0) for _ in range(10)]
        spawn(sleep, 1000)
        pycoro.joinall(tasks)
        return number

    run(main, 0)
    before = descriptors(), _native.count_in_use()
    assert [run(main, number) for number in range(50)] == list(range(50))
    gc.collect()
    assert (descriptors(), _native.count_in_use()) == before


def test_tasks_that_were_there_before_run_and_end_as_well() -> None:
    log: list[str] = []
    early = spawn(log.append, "early")
    endless = spawn(sleep, 1000)
    run(lambda: sleep(0))
    assert (log, early.ready(), endless.ready()) == (["early"], True, True)


def test_in_threads_of_their_own() -> None:
    def main(number: int) -> int:
        spawn(sleep, 1000)
        return sum(task.get() for task in [spawn(lambda: number) for _ in range(10)])

    def work(number: int) -> None:
        results.append(run(main, number))

    results: list[int] = []
    in_thread(lambda: work(0))
    before = descriptors()
    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [0, 10, 20, 30, 40]
    assert descriptors() == before


# ---- clean-up code ----


def test_clean_up_code_may_spawn_and_wait() -> None:
    log: list[str] = []

    def flush(name: str) -> None:
        sleep(0.001)
        log.append(f"flushed {name}")

    def work() -> None:
        try:
            sleep(1000)
        finally:
            spawn(flush, "one").join()
            with pycoro.Timeout(0.001, False):
                sleep(1000)
            log.append("ends")
            forgotten.append(spawn(sleep, 1000))

    def main() -> None:
        spawn(work)
        sleep(0)

    forgotten: list[Any] = []
    run(main)
    assert log == ["flushed one", "ends"]
    assert forgotten[0].ready()


def test_errors_of_clean_up_code(capsys: pytest.CaptureFixture[str]) -> None:
    log: list[str] = []

    def work(error: BaseException) -> None:
        try:
            sleep(1000)
        finally:
            log.append(type(error).__name__)
            raise error

    def main(*errors: BaseException) -> str:
        for error in errors:
            spawn(work, error)
        sleep(0)
        return "result"

    assert run(main, KeyError("reported"), ValueError("as well")) == "result"
    text = capsys.readouterr().err
    assert text.count("KeyError: 'reported'") == text.count("ValueError: as well") == 1
    with pytest.raises(SystemExit, match="7"):
        run(main, SystemExit(7), KeyError("x"))
    assert sorted(log) == ["KeyError", "KeyError", "SystemExit", "ValueError"]


def test_one_that_ignores_being_killed_is_told_of_and_given_up(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def stubborn() -> None:
        while True:
            try:
                sleep(1000)
            except CoroutineExit:
                pass

    def cleans_for_long() -> None:
        try:
            sleep(1000)
        finally:
            sleep(1000)

    def main() -> str:
        kept.extend([spawn(stubborn), spawn(cleans_for_long)])
        spawn_raw(stubborn)
        sleep(0)
        return "result"

    kept: list[Any] = []
    before = descriptors()
    assert run(main, grace=0.01) == "result"
    text = capsys.readouterr().err
    assert "killed 0.01 seconds ago, and not ended yet; they never go on:" in text
    assert text.count("stubborn") == 2
    assert text.count("cleans_for_long") == 1
    assert [task.ready() for task in kept] == [True, True]
    assert len(descriptors()) <= len(before)


def test_an_error_of_main_is_raised_after_the_clean_up() -> None:
    log: list[str] = []

    def work() -> None:
        try:
            sleep(1000)
        finally:
            sleep(0.001)
            log.append("cleaned up")

    def main() -> None:
        spawn(work)
        sleep(0)
        raise KeyError("of main")

    with pytest.raises(KeyError, match="of main"):
        run(main)
    assert log == ["cleaned up"]


# ---- Ctrl-C ----

INTERRUPTED = """
    import os, signal, sys, threading
    import pycoro
    from pycoro import run, spawn, sleep
    from pycoro.event import Event

    def work(name):
        try:
            sleep(1000)
        finally:
            sleep(0.001)
            print(name, "finally")

    def interrupt(times=1):
        for _ in range(times):
            os.kill(os.getpid(), signal.SIGINT)
            sleep(0.05)
"""


@pytest.mark.parametrize(
    "wait",
    [
        "sleep(1000)",
        "Event().wait()",
        "spawn(sleep, 1000).join()",
        "spawn(sleep, 1000).get()",
        "pycoro.wait([spawn(sleep, 1000)])",
        "while_true()",
    ],
)
def test_ctrl_c_is_raised_in_main_and_clean_up_code_runs(wait: str) -> None:
    code = (
        INTERRUPTED
        + f"""
    def while_true():
        while True:
            sleep(0)

    def main():
        spawn(work, "task")
        spawn(interrupt)
        try:
            {wait}
        except KeyboardInterrupt:
            print("main is interrupted")
            raise
        finally:
            print("main finally")

    try:
        run(main)
    except KeyboardInterrupt:
        print("handed on", signal.getsignal(signal.SIGINT) is signal.default_int_handler)
    """
    )
    assert output_of(code, timeout=30) == [
        "main is interrupted",
        "main finally",
        "task finally",
        "handed on True",
    ]


def test_ctrl_c_while_a_task_computes() -> None:
    code = (
        INTERRUPTED
        + """
    def computes():
        try:
            os.kill(os.getpid(), signal.SIGINT)
            while True:
                pass
        finally:
            print("task finally")

    def main():
        try:
            spawn(computes).join()
        finally:
            print("main finally")

    try:
        run(main)
    except KeyboardInterrupt:
        print("handed on")
    """
    )
    assert output_of(code, timeout=30) == ["task finally", "main finally", "handed on"]


@pytest.mark.parametrize("link", ["rawlink", "link"])
def test_ctrl_c_while_a_link_computes(link: str) -> None:
    code = (
        INTERRUPTED
        + f"""
    def computes(task):
        try:
            os.kill(os.getpid(), signal.SIGINT)
            while True:
                pass
        finally:
            print("link finally")

    def main():
        task = spawn(int)
        task.{link}(computes)
        task.{link}(lambda task: print("the next link"))
        sleep(1000)

    try:
        run(main)
    except KeyboardInterrupt:
        print("handed on")
    """
    )
    lines = output_of(code, timeout=30)
    assert lines in (
        ["link finally", "the next link", "handed on"],
        ["link finally", "handed on"],  # main's turn came first
    )


def test_a_second_ctrl_c_ends_the_patience() -> None:
    code = (
        INTERRUPTED
        + """
    def stubborn():
        while True:
            try:
                sleep(1000)
            except pycoro.GreenletExit:
                print("no")
                interrupt()

    def main():
        spawn(stubborn)
        sleep(0)
        interrupt()

    try:
        run(main, grace=1000)
    except KeyboardInterrupt as error:
        print("handed on", type(error.__context__).__name__)
    """
    )
    assert output_of(code, timeout=30) == ["no", "handed on KeyboardInterrupt"]


def test_ctrl_c_works_again_in_a_second_run() -> None:
    code = (
        INTERRUPTED
        + """
    for number in range(3):
        try:
            run(lambda: (spawn(interrupt), sleep(1000)))
        except KeyboardInterrupt:
            print("interrupted", number)
    pycoro.spawn(interrupt)
    try:
        sleep(1000)
    except KeyboardInterrupt:
        print("and without run()")
    """
    )
    lines = ["interrupted 0", "interrupted 1", "interrupted 2", "and without run()"]
    assert output_of(code, timeout=30) == lines


def test_ctrl_c_that_nobody_catches() -> None:
    done = run_python(
        INTERRUPTED
        + """
    def main():
        spawn(work, "task")
        spawn(interrupt)
        sleep(1000)

    run(main)
    """,
        timeout=30,
    )
    assert done.stdout.splitlines() == ["task finally"]
    assert done.stderr.rstrip().endswith("KeyboardInterrupt")
    assert done.returncode == -signal.SIGINT


# ---- the end of the interpreter ----

ENDING = """
    import os, sys, threading
    import pycoro
    from pycoro import spawn, sleep, spawn_later, spawn_raw
    from pycoro.event import Event
    from pycoro.lock import Semaphore

    def work(name, last=0):
        try:
            sleep(1000)
        finally:
            print(name, "finally", flush=True)
            if last:
                sleep(last)
                print(name, "slept", flush=True)
"""


def test_exit_with_tasks_alive() -> None:
    code = (
        ENDING
        + """
    event, lock = Event(), Semaphore(0)
    tasks = [spawn(work, "sleeping"), spawn(event.wait), spawn(lock.acquire)]
    tasks += [spawn(tasks[0].join), spawn(pycoro.wait, tasks[:2])]
    sleep(0)
    tasks += [spawn(work, "starting"), spawn_later(1000, work, "later"), pycoro.Task(work, "x")]
    spawn_raw(work, "raw")
    print("end")
    """
    )
    assert output_of(code, timeout=30) == ["end", "sleeping finally"]


@pytest.mark.parametrize(
    "ends", ["sys.exit(3)", "1 // 0", "os._exit(3)", "raise KeyboardInterrupt"]
)
def test_exit_by_other_ways(ends: str) -> None:
    code = (
        ENDING
        + f"""
    tasks = [spawn(work, "task"), spawn_later(1000, work, "later")]
    sleep(0)
    {ends}
    """
    )
    done = run_python(code, timeout=30)
    assert done.stdout.splitlines() == ([] if "_exit" in ends else ["task finally"])
    assert done.returncode == {"1": 1, "s": 3, "o": 3, "r": -signal.SIGINT}[ends[0]]


def test_exit_out_of_a_task() -> None:
    done = run_python(ENDING + "    tasks = [spawn(work, 'a')]\n    spawn(sys.exit, 5).join()\n")
    assert (done.stdout, done.returncode) == ("a finally\n", 5)


def test_exit_with_clean_up_code_that_waits() -> None:
    done = run_python(
        ENDING
        + """
    tasks = [spawn(work, name, 0.001) for name in "ab"]
    sleep(0)
    print("end", flush=True)
    """,
        timeout=30,
    )
    assert done.returncode == 0
    assert done.stdout.splitlines()[0] == "end"
    assert {"a finally", "b finally"} <= set(done.stdout.splitlines())


def test_exit_with_tasks_of_daemon_threads() -> None:
    code = (
        ENDING
        + """
    def thread():
        tasks = [spawn(work, "daemon's") for _ in range(3)]
        sleep(0)
        ready.release()
        sleep(1000)

    ready = threading.Semaphore(0)
    for _ in range(3):
        threading.Thread(target=thread, daemon=True).start()
        ready.acquire()
    task = spawn(work, "main's")
    sleep(0)
    """
    )
    assert output_of(code, timeout=30) == ["main's finally"]


def test_a_thread_that_ends_with_tasks_alive() -> None:
    code = (
        ENDING
        + """
    def thread():
        tasks = [spawn(work, "thread's"), spawn_later(1000, work, "later")]
        sleep(0)

    for _ in range(2):
        worker = threading.Thread(target=thread)
        worker.start()
        worker.join()
    print("end")
    """
    )
    assert output_of(code, timeout=30) == ["thread's finally", "thread's finally", "end"]


# ---- fork ----


def test_fork_in_a_task() -> None:
    code = (
        ENDING
        + """
    def child():
        assert not others[0].ready()
        values = [task.get() for task in [spawn(int, "5"), spawn_later(0.001, int, "6")]]
        with pycoro.Timeout(0.001, False):
            sleep(10)
        pycoro.reinit()
        values.append(spawn(int, "7").get())
        print(values, flush=True)
        os._exit(sum(values))

    def forks():
        pid = pycoro.fork()
        if not pid:
            child()
        _, status = os.waitpid(pid, 0)
        return os.waitstatus_to_exitcode(status)

    others = [spawn(work, "parent's"), spawn_later(0.001, print, "parent's timer", flush=True)]
    print(spawn(forks).get(), flush=True)
    sleep(0.005)
    others[0].kill()
    """
    )
    lines = ["[5, 6, 7]", "18", "parent's timer", "parent's finally"]
    assert output_of(code, timeout=30) == lines


def test_a_child_that_ends_as_programs_do() -> None:
    code = (
        ENDING
        + """
    def child():
        task = spawn(work, "child's")
        sleep(0)
        print(spawn(lambda: "child's value").get(), flush=True)

    other = spawn(work, "parent's")
    sleep(0)
    pid = pycoro.fork()
    if pid:
        _, status = os.waitpid(pid, 0)
        print("child gave", os.waitstatus_to_exitcode(status), flush=True)
    else:
        child()
    """
    )
    assert output_of(code, timeout=30) == [
        "child's value",
        "child's finally",
        "child gave 0",
        "parent's finally",
    ]


def test_fork_within_run() -> None:
    code = (
        ENDING
        + """
    def main():
        task = spawn(work, "parent's")
        sleep(0)
        pid = pycoro.fork()
        if not pid:
            mine = spawn(work, "child's")
            sleep(0)
            return "child"
        _, status = os.waitpid(pid, 0)
        return "parent"

    print(pycoro.run(main), flush=True)
    """
    )
    assert output_of(code, timeout=30) == [
        "child's finally",
        "child",
        "parent's finally",
        "parent",
    ]


def test_reinit_after_a_fork_that_python_has_not_seen() -> None:
    code = """
    import ctypes, os
    import pycoro
    from pycoro.threadpool import ThreadPool

    pool = ThreadPool(1)
    pool.apply(int)
    pycoro.spawn(print, "parent's", flush=True)
    pid = ctypes.PyDLL(None).fork()
    if not pid:
        pycoro.reinit(pycoro.get_hub())
        print(pool.size, pycoro.spawn(int, "5").get(), flush=True)
        os._exit(0)
    os.waitpid(pid, 0)
    pycoro.sleep(0)
    """
    assert output_of(code, timeout=30) == ["0 5", "parent's"]


def test_reinit_in_the_parent_changes_nothing() -> None:
    task = spawn(sleep, 0.001)
    sleep(0)
    pycoro.reinit()
    task.join()
    assert task.successful()


# ---- a loop that is destroyed ----


def test_tasks_end_with_their_loop() -> None:
    """They do not go on in the next one, nor keep what is handed to them."""

    def work(name: str) -> None:
        log.append(f"{name} begins")
        try:
            with lock:
                log.append(f"{name} has it")
        finally:
            log.append(f"{name} ends")
            with pytest.raises(pycoro.LoopExit):
                sleep(1)

    def in_a_thread() -> None:
        tasks = [spawn(work, "a"), spawn(work, "b")]
        sleep(0)
        pycoro.get_loop().destroy(destroy_loop=True)
        log.append([repr(task.value) for task in tasks])
        lock.release()
        with lock:
            log.append("free")

    log: list[Any] = []
    lock = Semaphore(0)
    in_thread(in_a_thread)
    assert sorted(log[:4]) == ["a begins", "a ends", "b begins", "b ends"]
    assert log[4:] == [["CoroutineExit()"] * 2, "free"]
