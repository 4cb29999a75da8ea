"""The loop: callbacks, timers, descriptors, other threads, signals, errors, its end."""

from __future__ import annotations

import contextvars
import errno
import gc
import io
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from helpers import in_thread

import pycoro
from pycoro import InvalidThreadUseError, LoopExit, get_loop, poller, select, spawn
from pycoro.socket import socketpair, wait_read, wait_write
from pycoro.timers import Timer
from pycoro.waiting import WaitQueue

TESTED = Path(pycoro.__file__).parent.parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(TESTED)}


def program(source: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-u", "-c", textwrap.dedent(source)],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def interrupted(source: str, number: int = signal.SIGINT) -> tuple[int, list[str], str]:
    """Runs it until it prints "ready", sends the signal; gives exit status, lines and stderr."""
    process = program(source)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    return process.returncode, out.splitlines(), err


# ---- callbacks and timers ----


def test_call_soon_runs_callbacks_in_order_among_tasks() -> None:
    log: list[object] = []
    loop = get_loop()
    loop.call_soon(log.append, 1)
    spawn(log.append, 2)
    loop.call_soon(log.append, 3)
    spawn(log.append, 4)
    assert log == []
    pycoro.sleep(0)
    assert log == [1, 2, 3, 4]


def test_a_callback_can_be_cancelled_and_can_call_soon() -> None:
    log: list[object] = []
    loop = get_loop()
    loop.call_soon(log.append, "cancelled").cancel()
    loop.call_soon(lambda: (log.append("a"), loop.call_soon(log.append, "b")))
    pycoro.sleep(0)
    pycoro.sleep(0)
    assert log == ["a", "b"]


def test_call_later_runs_in_order_of_time_then_age() -> None:
    log: list[object] = []
    loop = get_loop()
    base = time.monotonic()
    for offset, what in ((0.02, "c"), (0.01, "a"), (0.01, "b")):
        loop.add_timer(Timer(base + offset, log.append, (what,)))
    loop.call_later(0.01, log.append, "no").cancel()
    pycoro.sleep(0.05)
    assert log == ["a", "b", "c"]


@pytest.mark.parametrize("seconds", [3e6, 1e12, float("inf")])
def test_a_long_time_is_no_error(seconds: float, capsys: pytest.CaptureFixture[str]) -> None:
    task = spawn(pycoro.sleep, seconds)
    thread = threading.Timer(0.02, get_loop().call_soon_threadsafe, (task.kill, KeyError, False))
    thread.start()
    with pytest.raises(KeyError):
        task.get()
    assert capsys.readouterr().err == ""


def test_two_errors_at_once_are_raised_one_after_the_other() -> None:
    log: list[str] = []

    def run() -> None:
        for _ in range(2):
            try:
                pycoro.sleep(1000)
            except (KeyError, ValueError) as error:
                log.append(repr(error))

    task = spawn(run)
    pycoro.sleep(0)
    task.kill(KeyError(1), block=False)
    task.kill(ValueError(2), block=False)
    task.join()
    assert log == ["KeyError(1)", "ValueError(2)"]


def test_one_that_waits_for_a_plain_switch_can_be_killed() -> None:
    task = spawn(get_loop().switch)
    pycoro.sleep(0)
    task.kill()
    assert task.ready()
    with pycoro.Timeout(0.001, False) as timeout:
        get_loop().switch()
    assert not timeout.pending
    assert get_loop().errors == {}


def test_a_loop_is_one_for_each_thread() -> None:
    loops = [get_loop(), pycoro.get_hub()]
    thread = threading.Thread(target=lambda: loops.append(get_loop()))
    thread.start()
    thread.join()
    assert loops[0] is loops[1]
    assert loops[2] is not loops[0]


def test_a_callback_that_waits_is_told_so(capsys: pytest.CaptureFixture[str]) -> None:
    get_loop().call_soon(pycoro.sleep, 1)
    pycoro.sleep(0)
    assert "a callback of the loop must not wait" in capsys.readouterr().err


def test_an_exception_in_a_callback_is_reported_once_and_kills_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log: list[object] = []
    loop = get_loop()
    loop.call_soon(lambda: 1 / 0)
    loop.call_later(0, lambda: [][0])
    loop.call_soon(log.append, "still alive")
    pycoro.sleep(0.01)
    text = capsys.readouterr().err
    assert log == ["still alive"]
    assert text.count("ZeroDivisionError: division by zero") == 1
    assert text.count("IndexError: list index out of range") == 1
    assert text.count("Traceback") == 2


def test_an_error_in_reporting_an_error_does_not_end_the_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unraisable: list[object] = []

    class Broken:
        def __call__(self) -> None:
            raise ValueError("in the callback")

        def __repr__(self) -> str:
            raise KeyError("in its repr")

    monkeypatch.setattr(sys, "unraisablehook", lambda hook: unraisable.append(hook.exc_type))
    get_loop().call_soon(Broken())
    pycoro.sleep(0)
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    task = spawn(lambda: 1 / 0)
    task.join()
    pycoro.sleep(0.001)
    assert isinstance(task.exception, ZeroDivisionError)
    assert unraisable == [KeyError, ValueError]
    assert spawn(lambda: "works").get() == "works"


def test_handle_error_can_be_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []
    kind = type(get_loop())
    monkeypatch.setattr(kind, "handle_error", lambda self, context, *error: seen.append(error[1]))
    get_loop().call_soon(lambda: 1 / 0)
    pycoro.sleep(0)
    assert [type(error) for error in seen] == [ZeroDivisionError]


def test_callbacks_may_switch_to_plain_coroutines_that_wait() -> None:
    log: list[object] = []

    def body(*_: object) -> None:
        log.append("begins")
        pycoro.sleep(0.01)
        log.append("ends")

    loop = get_loop()
    coroutine = pycoro.Coroutine(body, loop)  # when it ends, the loop goes on
    loop.call_soon(coroutine.switch)
    loop.call_soon(log.append, "callback")
    spawn(log.append, "task")
    pycoro.sleep(0.05)
    pycoro.sleep(0)
    assert log == ["begins", "callback", "task", "ends"]
    assert coroutine.dead


# ---- descriptors ----


def test_add_reader_calls_as_long_as_there_is_something_to_read() -> None:
    loop = get_loop()
    ours, theirs = socket.socketpair()
    log: list[bytes] = []

    def read() -> None:
        log.append(ours.recv(1))
        if len(log) == 3:
            loop.remove_reader(ours)

    loop.add_reader(ours, read)
    theirs.send(b"abcd")
    pycoro.sleep(0.01)
    assert log == [b"a", b"b", b"c"]
    assert loop.remove_reader(ours) is False
    ours.close()
    theirs.close()


def test_add_writer_calls_until_it_is_removed() -> None:
    loop = get_loop()
    ours, theirs = socket.socketpair()
    log: list[int] = []

    def write() -> None:
        log.append(ours.send(b"x"))
        if len(log) == 3:
            loop.remove_writer(ours.fileno())

    loop.add_writer(ours, write)
    pycoro.sleep(0.01)
    assert (log, theirs.recv(10)) == ([1, 1, 1], b"xxx")
    ours.close()
    theirs.close()


def test_a_socket_can_be_waited_for_after_its_callback_was_removed() -> None:
    ours, theirs = socketpair()
    for _ in range(2):  # the second time with what the first wait has left
        get_loop().add_reader(ours, print)
        assert get_loop().remove_reader(ours)
        spawn(theirs.sendall, b"x")
        ours.settimeout(5)
        assert ours.recv(10) == b"x"
    twin = type(ours)(fileno=ours.fileno())
    twin.settimeout(0.001)
    with pytest.raises(TimeoutError):
        twin.recv(1)
    twin.detach()
    spawn(theirs.sendall, b"y")
    assert ours.recv(10) == b"y"
    ours.close()
    theirs.close()


def test_a_callback_may_read_as_often_as_it_likes(capsys: pytest.CaptureFixture[str]) -> None:
    ours, theirs = socketpair()
    theirs.sendall(b"x" * 300)
    read: list[bytes] = []
    get_loop().add_reader(ours, lambda: read.append(ours.recv(1)))
    task = spawn(lambda: [pycoro.sleep(0) for _ in range(1000)])
    task.join()
    get_loop().remove_reader(ours)
    assert (read, capsys.readouterr().err) == ([b"x"] * 300, "")
    ours.close()
    theirs.close()


def test_one_in_poll_is_woken_once_when_its_descriptor_is_used_again() -> None:
    ours, theirs = socketpair()
    ours.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            ours.send(b"x" * 65536)
    number = os.dup(ours.fileno())  # its registration outlives the close
    poll = select.poll()
    poll.register(number, select.POLLIN | select.POLLOUT)
    again = WaitQueue()
    task = spawn(lambda: (poll.poll(), again.wait(0.005)))
    pycoro.sleep(0)
    reader, writer = os.pipe()
    os.dup2(writer, number)
    wait_write(number)
    get_loop().watch(number)
    assert task.get()[1] is False  # not woken
    for each in (reader, writer, number):
        os.close(each)
    ours.close()
    theirs.close()


def test_a_closed_descriptor_cannot_be_watched() -> None:
    ours, theirs = socket.socketpair()
    number = ours.fileno()
    ours.close()
    theirs.close()
    with pytest.raises(ValueError, match="closed already"):
        get_loop().add_reader(ours, print)
    with pytest.raises(OSError, match="Bad file descriptor"):
        get_loop().add_reader(number, print)
    with pytest.raises(OSError, match="the descriptor is closed"):
        wait_read(number)
    with pytest.raises(ValueError, match="negative"):
        wait_read(-1)


def unwatch(fd: int) -> None:
    get_loop().unwatch(fd)


def remove(fd: int) -> None:
    get_loop().remove_reader(fd)


@pytest.mark.parametrize("end", [remove, unwatch])
def test_a_callback_is_not_called_after_its_end(clean_loop: None, end: Any) -> None:
    """Its turn had come in the same look, and the number may be another file's by then."""
    pipes = [os.pipe() for _ in range(2)]
    called = []

    def call(mine: int, other: int) -> None:
        called.append(mine)
        for one in (mine, other):
            end(one)

    (one, _), (other, _) = pipes
    get_loop().add_reader(one, call, one, other)
    get_loop().add_reader(other, call, other, one)
    for _, writer in pipes:
        os.write(writer, b"x")
    pycoro.sleep(0.01)
    assert len(called) == 1
    for fd in (fd for pipe in pipes for fd in pipe):
        os.close(fd)


def test_a_callback_that_closes_its_descriptor_is_in_nobodys_way(
    clean_loop: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those whose turn comes after it in the same look were forgotten."""
    pipes = [os.pipe() for _ in range(3)]
    called = []

    def call(fd: int) -> None:
        called.append(fd)
        os.close(fd)

    for reader, writer in pipes:
        get_loop().add_reader(reader, call, reader)
        os.write(writer, b"x")
    pycoro.sleep(0.01)
    assert sorted(called) == [reader for reader, _ in pipes]
    assert capsys.readouterr().err.count("OSError: [Errno 9]") == 3
    for _, writer in pipes:
        os.close(writer)


def test_a_number_that_becomes_another_files_while_it_is_waited_for(clean_loop: None) -> None:
    (one, writer), (other, its_writer) = os.pipe(), os.pipe()
    first = spawn(wait_read, one)
    pycoro.sleep(0)
    os.dup2(other, one)
    second = spawn(wait_read, one)  # notices, and has the first look again
    pycoro.sleep(0.01)
    assert not first.ready() and not second.ready()
    os.write(its_writer, b"x")
    pycoro.joinall([first, second], timeout=5)
    assert first.successful() and second.successful()
    for fd in (one, other, writer, its_writer):
        get_loop().unwatch(fd)
        os.close(fd)


def test_wait_read_sees_what_was_there_before() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"x")
    wait_read(reader, 5)
    wait_read(reader, 5)
    wait_write(writer, 5)
    os.read(reader, 1)
    with pytest.raises(TimeoutError):
        wait_read(reader, 0.01)
    get_loop().unwatch(reader)
    get_loop().unwatch(writer)
    os.close(reader)
    os.close(writer)


def test_a_wait_for_a_descriptor_can_be_cancelled() -> None:
    one, other = socketpair()
    error = KeyError("mine")
    tasks = [
        pycoro.spawn(wait, one) for wait in (wait_read, wait_read, pycoro.socket.wait_readwrite)
    ]
    pycoro.sleep(0)
    assert [task.ready() for task in tasks] == [False, False, True]  # it is writable
    pycoro.socket.cancel_wait(one)
    pycoro.socket.cancel_wait(other, error)  # nobody waits
    pycoro.joinall(tasks)
    assert [getattr(task.exception, "errno", None) for task in tasks[:2]] == [errno.EBADF] * 2
    reading = pycoro.spawn(wait_read, one)
    pycoro.sleep(0)
    pycoro.socket.cancel_wait(one.fileno(), error)
    reading.join()
    assert reading.exception is error
    with pytest.raises(KeyError, match="mine"):
        wait_read(one, 0.001, error)
    other.send(b"x")
    wait_read(one)  # it is of use as before
    one.close()
    other.close()


def test_a_regular_file_is_always_ready() -> None:
    with Path(__file__).open("rb") as file:
        wait_read(file)
        wait_write(file)


def test_the_portable_poller_serves_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poller, "_epoll", None)
    result: list[object] = []

    def run() -> None:
        ours, theirs = socketpair()
        echo = spawn(lambda: theirs.sendall(theirs.recv(100)))
        ours.sendall(b"hello")
        result.append(ours.recv(100))
        ours.settimeout(0.01)
        try:
            ours.recv(1)
        except TimeoutError:
            result.append("timed out")
        echo.join()
        ours.close()
        theirs.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(30)
    assert result == [b"hello", "timed out"]


# ---- threads and processes ----


def test_call_soon_threadsafe_wakes_a_sleeping_loop() -> None:
    loop = get_loop()
    queue = WaitQueue()
    loop.foreign += 1
    thread = threading.Thread(target=lambda: loop.call_soon_threadsafe(queue.wake_all))
    thread.start()
    queue.wait()
    loop.foreign -= 1
    thread.join()


def test_threads_have_loops_of_their_own_that_end_with_them() -> None:
    gc.collect()  # what earlier tests have left
    before = len(list(Path("/proc/self/fd").iterdir()))
    results: list[object] = []

    def run(number: int) -> None:
        tasks = [spawn(pycoro.sleep, 0.001) for _ in range(10)]
        pycoro.joinall(tasks)
        results.append((number, sum(task.ready() for task in tasks)))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [(number, 10) for number in range(10)]
    # One that an earlier test's thread still had may have been closed meanwhile.
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


def test_fork_in_a_task_leaves_both_loops_working() -> None:
    process = program(
        """
        import os, pycoro
        from pycoro import socket
        ours, theirs = socket.socketpair()
        echo = pycoro.spawn(lambda: theirs.sendall(theirs.recv(10)))
        pycoro.sleep(0)
        def forks():
            child = os.fork()
            if child == 0:
                pycoro.sleep(0.001)
                mine, other = socket.socketpair()
                pycoro.spawn(other.send, b"child")
                os.write(1, mine.recv(10) + b"\\n")
                os._exit(7)
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(pycoro.spawn(forks).get())
        ours.send(b"parent")
        print(ours.recv(10).decode())
        """
    )
    out, err = process.communicate(timeout=30)
    assert (out.split(), err) == (["child", "7", "parent"], "")


def test_what_a_signal_handler_raises_while_the_loop_sleeps_is_the_main_programs() -> None:
    def handler(number: int, frame: object) -> None:
        raise ZeroDivisionError

    former = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        with pytest.raises(ZeroDivisionError):
            pycoro.sleep(60)
    finally:
        signal.signal(signal.SIGALRM, former)


def test_only_the_running_task_and_the_main_program_go_on_in_a_forked_child() -> None:
    process = program(
        """
        import os, pycoro
        def says(text):
            try:
                pycoro.sleep(0.01)
                os.write(1, text)
            finally:
                os.write(1, b"end ")
        waiting = pycoro.spawn(says, b"waiting ")
        pycoro.spawn_later(0.01, os.write, 1, b"later ")
        pycoro.get_loop().call_later(0.01, os.write, 1, b"callback ")
        pycoro.sleep(0)
        pycoro.spawn(os.write, 1, b"spawned ")
        def forks():
            child = os.fork()
            if child == 0:
                os.write(1, b"child ")
                pycoro.sleep(0.03)
                pycoro.spawn(os.write, 1, b"own ")
            else:
                os.waitpid(child, 0)
                os.write(1, b"parent ")
        pycoro.spawn(forks).join()
        os.write(1, b"main ")
        pycoro.joinall([waiting]) if os.getppid() == PARENT else os._exit(0)
        pycoro.sleep(0.01)
        """.replace("PARENT", str(os.getpid()))
    )
    out, err = process.communicate(timeout=30)
    assert err == ""
    said = out.split()
    assert said[:5] == ["spawned", "child", "own", "main", "parent"]
    assert sorted(said[5:]) == ["callback", "end", "later", "main", "waiting"]


# ---- the end ----


def test_what_would_wait_forever_is_told_so_in_the_main_program() -> None:
    with pytest.raises(LoopExit, match="this would wait forever"):
        WaitQueue().wait()
    stuck = spawn(WaitQueue().wait)
    with pytest.raises(LoopExit):
        stuck.join()
    stuck.kill()
    assert stuck.ready()


@pytest.mark.parametrize("wait", ["pycoro.sleep(60)", "queue.wait(60)", "listener.accept()"])
def test_ctrl_c_ends_a_program_whose_loop_is_idle(wait: str) -> None:
    status, lines, err = interrupted(
        f"""
        import pycoro
        from pycoro import socket
        from pycoro.waiting import WaitQueue
        queue = WaitQueue()
        listener = socket.create_server(("127.0.0.1", 0))
        def other():
            try:
                pycoro.sleep(50)
            finally:
                print("other ends")
        task = pycoro.spawn(other)
        try:
            pycoro.spawn(print, "ready")
            {wait}
        finally:
            print("main ends")
        """
    )
    assert lines == ["main ends", "other ends"]
    assert status == -signal.SIGINT
    assert err.count("Traceback") == 1


def test_ctrl_c_in_the_main_program_can_be_caught_and_the_loop_goes_on() -> None:
    status, lines, err = interrupted(
        """
        import pycoro
        task = pycoro.spawn(pycoro.sleep, 0.3)
        try:
            pycoro.spawn(print, "ready")
            pycoro.sleep(60)
        except KeyboardInterrupt:
            print("caught")
        task.join()
        pycoro.sleep(0.01)
        print("goes on", task.successful())
        """
    )
    assert (status, lines, err) == (0, ["caught", "goes on True"], "")


def test_ctrl_c_in_a_busy_task_ends_the_task_and_then_the_program() -> None:
    status, lines, err = interrupted(
        """
        import pycoro
        def busy():
            try:
                print("ready")
                while True:
                    pass
            finally:
                print("task ends")
        try:
            pycoro.spawn(busy).join()
        finally:
            print("main ends")
        """
    )
    assert lines == ["task ends", "main ends"]
    assert status == -signal.SIGINT
    assert err.count("Traceback") == 1


def test_ctrl_c_in_a_busy_callback_ends_the_callback_and_then_the_program() -> None:
    status, lines, err = interrupted(
        """
        import pycoro
        def busy():
            try:
                print("ready")
                while True:
                    pass
            finally:
                print("callback ends")
        pycoro.get_loop().call_soon(busy)
        try:
            pycoro.sleep(60)
        except KeyboardInterrupt:
            print("main is told")
        pycoro.sleep(0.001)
        print("the loop goes on")
        """
    )
    assert (status, lines) == (0, ["callback ends", "main is told", "the loop goes on"]), err


def test_ctrl_c_among_switching_tasks_loses_none_of_them() -> None:
    status, lines, err = interrupted(
        """
        import pycoro
        going = True
        def hops():
            count = 0
            while going:
                pycoro.sleep(0)
            return 1
        tasks = [pycoro.spawn(hops) for _ in range(20)]
        pycoro.sleep(0)
        try:
            print("ready")
            while True:
                pycoro.sleep(0)
        except KeyboardInterrupt:
            going = False
        pycoro.joinall(tasks)
        print(sum(task.value or 0 for task in tasks) + sum(map(bool, (t.exception for t in tasks))))
        """
    )
    assert (status, lines) == (0, ["20"]), err


def test_a_signal_handler_runs_at_once_in_an_idle_loop_and_may_wake_tasks() -> None:
    status, lines, err = interrupted(
        """
        import signal, pycoro
        from pycoro.waiting import WaitQueue
        queue = WaitQueue()
        signal.signal(signal.SIGUSR1, lambda *_: queue.wake_all())
        pycoro.spawn(print, "ready")
        print("woken", queue.wait(60))
        """,
        signal.SIGUSR1,
    )
    assert (status, lines, err) == (0, ["woken True"], "")


def test_a_wakeup_descriptor_of_somebody_else_is_left_alone() -> None:
    status, lines, err = interrupted(
        """
        import signal, socket, pycoro
        mine, other = socket.socketpair()
        mine.setblocking(False)
        signal.set_wakeup_fd(mine.fileno())
        try:
            pycoro.spawn(print, "ready")
            pycoro.sleep(60)
        except KeyboardInterrupt:
            print(signal.set_wakeup_fd(-1) == mine.fileno(), other.recv(10))
        """
    )
    assert (status, lines, err) == (0, [f"True {bytes([signal.SIGINT])!r}"], "")


def test_with_somebody_else_s_wakeup_descriptor_no_signal_is_missed_for_long() -> None:
    """It comes to another thread, so it does not interrupt the sleep; nor does one that comes just
    before that."""
    process = program(
        """
        import signal, socket, threading, pycoro
        mine, other = socket.socketpair()
        mine.setblocking(False)
        signal.set_wakeup_fd(mine.fileno())
        loop = pycoro.get_loop()

        def interrupt():
            while not loop._wakeup.is_asleep:
                pass
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)

        thread = threading.Thread(target=interrupt)
        thread.start()
        try:
            pycoro.sleep(60)
        except KeyboardInterrupt:
            print("interrupted")
        thread.join()
        """
    )
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "interrupted\n", "")


def test_system_exit_in_a_task_ends_the_program() -> None:
    process = program(
        """
        import sys, pycoro
        try:
            pycoro.spawn(sys.exit, 3)
            pycoro.sleep(60)
        finally:
            print("main ends")
        """
    )
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (3, "main ends\n", "")


def test_finally_blocks_run_at_the_end_of_the_program() -> None:
    process = program(
        """
        import pycoro
        def waits(name):
            try:
                pycoro.sleep(60)
            finally:
                print(name)
        tasks = [pycoro.spawn(waits, name) for name in "abc"]
        pycoro.sleep(0)
        print("main ends")
        """
    )
    out, err = process.communicate(timeout=30)
    assert sorted(out.split()) == ["a", "b", "c", "ends", "main"]
    assert (process.returncode, err) == (0, "")


def test_a_loop_s_context_is_empty() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")
    seen: list[Any] = []
    variable.set("main's")
    get_loop().call_soon(lambda: seen.append(variable.get()))
    spawn(lambda: seen.append(variable.get())).join()
    assert seen == ["none", "main's"]


def test_the_example_of_events_and_handlers() -> None:
    example = Path(__file__).parent.parent / "examples" / "events.py"
    done = subprocess.run(
        [sys.executable, example], env=ENVIRONMENT, capture_output=True, text=True, timeout=60
    )
    assert (done.stdout.splitlines(), done.stderr) == (
        [
            "key 'h': the text is 'h'",
            "key 'i': the text is 'hi'",
            "click on save",
            "saving 'hi'",
            "key '!': the text is 'hi!'",
            "nobody handles scroll",
            "click on field",
            "saved 'hi'",
            "the window closes with 'hi!'",
        ],
        "",
    )


def relay(turns: list[int], is_over: Any) -> list[pycoro.Task]:
    """Two tasks that wake each other until is_over(), so that there is always one to go on."""
    queues = [WaitQueue(), WaitQueue()]

    def runs(mine: WaitQueue, other: WaitQueue) -> None:
        while not is_over():
            turns[0] += 1
            other.wake_one()
            mine.wait()
        other.wake_one()

    return [spawn(runs, *queues), spawn(runs, *reversed(queues))]


def test_tasks_that_wake_each_other_do_so_without_a_look_each_time() -> None:
    loop, looks, turns = get_loop(), [0], [0]
    former = loop._watches.poll

    def poll(seconds: float) -> Any:
        looks[0] += 1
        return former(seconds)

    loop._watches.poll = poll  # type: ignore[method-assign]
    try:
        pycoro.joinall(relay(turns, lambda: turns[0] >= 3000))
    finally:
        del loop._watches.poll
    assert looks[0] < turns[0] / 2


@pytest.mark.parametrize("what", ["timer", "descriptor", "thread"])
def test_tasks_that_wake_each_other_keep_nobody_waiting(what: str) -> None:
    over: list[bool] = []
    left, right = socketpair()
    tasks = relay([0], lambda: over)
    if what == "timer":
        get_loop().call_later(0.001, over.append, True)
    elif what == "descriptor":
        tasks.append(spawn(lambda: over.append(bool(left.recv(1)))))
        tasks.append(spawn(right.send, b"x"))
    else:
        thread = threading.Thread(target=get_loop().call_soon_threadsafe, args=(over.append, True))
        tasks.append(spawn(thread.start))
    pycoro.joinall(tasks)
    left.close()
    right.close()


def test_a_sleep_of_0_is_a_turn_for_the_loop_as_well() -> None:
    left, right = socketpair()
    for turn in range(20):
        task = spawn(left.recv, 1)
        pycoro.sleep(0)
        right.send(b"x")
        pycoro.sleep(0)
        pycoro.sleep(0)
        assert task.ready(), turn
    left.close()
    right.close()


@pytest.mark.parametrize("from_afar", [False, True])
def test_a_callback_that_switches_does_not_keep_the_loop_from_its_turns(from_afar: bool) -> None:
    over: list[bool] = []
    turns = [0]
    tasks: list[pycoro.Task] = []
    sleeper = pycoro.Task(pycoro.sleep, 1000)
    loop = get_loop()

    def begin() -> None:
        tasks.extend(relay(turns, lambda: over or turns[0] >= 100_000))
        loop.call_later(0.001, over.append, True)
        begun.set()
        sleeper.switch()  # comes back with the loop's next turn

    begun = pycoro.event.Event()
    if from_afar:
        threading.Timer(0.001, loop.call_soon_threadsafe, [begin]).start()
    else:
        loop.call_later(0.001, begin)
    begun.wait()
    pycoro.joinall(tasks)
    sleeper.kill()
    assert turns[0] < 100_000


def test_a_loop_is_waited_for_in_its_own_thread() -> None:
    """Another one would take out of its queue who is ready, and could not go on with him."""

    def waits() -> None:
        for _ in range(2):  # without a loop, and with one
            with pytest.raises(InvalidThreadUseError, match="own thread"):
                loop.join(timeout=0.001)
            get_loop()

    loop = get_loop()
    task = spawn(int, "5")
    in_thread(waits)
    assert task.get() == 5


def test_calls_at_a_time_that_cannot_be_made() -> None:
    loop = get_loop()
    with pytest.raises(TypeError, match="callable, not NoneType"):
        loop.call_later(1, None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a number of seconds, not str"):
        loop.call_later("1", int)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not NaN"):
        loop.call_later(float("nan"), int)
    assert not len(loop._timers)
