"""Child processes and descriptors, waited for cooperatively."""

from __future__ import annotations

import os as stdlib
import signal
import threading
from collections.abc import Callable, Iterator

import pytest

import pycoro
from pycoro import os, sleep, spawn


def child(code: int, until: int | None = None) -> int:
    """A process that exits with the code, once the descriptor `until` is readable."""
    pid = stdlib.fork()
    if pid == 0:
        if until is not None:
            stdlib.read(until, 1)
        stdlib._exit(code)
    return pid


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = stdlib.pipe()
    yield ends
    for fd in ends:
        stdlib.close(fd)


def test_waitpid_lets_others_run(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    for which in (lambda pid: pid, lambda pid: -1, lambda pid: 0):
        pid = child(3, until=reader)
        waiting = spawn(os.waitpid, which(pid), 0)
        sleep(0)
        assert not waiting.ready()
        stdlib.write(writer, b"x")
        assert waiting.get() == (pid, 3 << 8)


def test_two_wait_for_two_children(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    pids = [child(number, until=reader) for number in (1, 2)]
    waiting = [spawn(os.waitpid, pid, 0) for pid in pids]
    sleep(0)
    stdlib.write(writer, b"xx")
    assert [task.get() for task in waiting] == [(pid, pids.index(pid) + 1 << 8) for pid in pids]


def test_waitpid_of_what_has_ended_and_of_no_child() -> None:
    pid = child(0)
    stdlib.waitid(stdlib.P_PID, pid, stdlib.WEXITED | stdlib.WNOWAIT)
    assert os.waitpid(pid, stdlib.WNOHANG) == (pid, 0)
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, 0)


def test_waitpid_tells_of_a_stopped_child(pipe: tuple[int, int]) -> None:
    pid = child(0, until=pipe[0])
    waiting = spawn(os.waitpid, pid, stdlib.WUNTRACED)
    sleep(0)
    stdlib.kill(pid, signal.SIGSTOP)
    done, status = waiting.get()
    assert (done, stdlib.WIFSTOPPED(status)) == (pid, True)
    stdlib.kill(pid, signal.SIGKILL)
    assert os.waitpid(pid, 0) == (pid, signal.SIGKILL)


def test_a_killed_waiter_leaves_the_child_to_others(pipe: tuple[int, int]) -> None:
    pid = child(5, until=pipe[0])
    waiting = spawn(os.waitpid, pid, 0)
    sleep(0)
    waiting.kill()
    stdlib.write(pipe[1], b"x")
    assert os.waitpid(pid, 0) == (pid, 5 << 8)


def test_waitpid_without_a_descriptor_for_the_child(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(pid: int) -> int:
        raise OSError(38, "Function not implemented")

    for instead in (None, refuse):
        monkeypatch.setattr(os, "_pidfd_open", instead)
        pid = child(6, until=pipe[0])
        waiting = spawn(os.waitpid, pid, 0)
        sleep(0)
        stdlib.write(pipe[1], b"x")
        assert waiting.get() == (pid, 6 << 8)


def test_the_users_handler_of_child_signals_still_runs() -> None:
    seen: list[int] = []
    former = signal.signal(signal.SIGCHLD, lambda number, frame: seen.append(number))
    try:
        pid = child(0)
        assert os.waitpid(pid, 0) == (pid, 0)
        while not seen:
            sleep(0.001)
    finally:
        signal.signal(signal.SIGCHLD, former)
    assert seen == [signal.SIGCHLD]


def test_fork_and_watch_reaps_and_calls() -> None:
    ended: list[tuple[int, int]] = []
    pid = os.fork_and_watch(lambda *end: ended.append(end))
    if pid == 0:
        stdlib._exit(7)
    while not ended:
        sleep(0.001)
    assert ended == [(pid, 7 << 8)]
    assert os.waitpid(pid, 0) == ended[0]


@pytest.mark.parametrize("which", [1, -1, 0])
def test_a_watched_child_can_be_waited_for_as_well(pipe: tuple[int, int], which: int) -> None:
    """Before its end, and after."""
    for early in (True, False):
        ended: list[tuple[int, int]] = []
        pid = os.fork_and_watch(lambda *end, ended=ended: ended.append(end))
        if pid == 0:
            stdlib.read(pipe[0], 1)
            stdlib._exit(7)
        waiting = spawn(os.waitpid, pid * which if which > 0 else which, 0) if early else None
        sleep(0)
        stdlib.write(pipe[1], b"x")
        while not ended:
            sleep(0.001)
        assert ended == [(pid, 7 << 8)]
        if waiting is not None:
            assert waiting.get() == (pid, 7 << 8)
        else:
            assert os.waitpid(pid * which if which > 0 else which, stdlib.WNOHANG) == ended[0]
        with pytest.raises(ChildProcessError):
            os.waitpid(pid, 0)


def test_what_nobody_asks_for_is_not_kept_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    def watch() -> int:
        pid = os.fork_and_watch(lambda *end: ended.append(end))
        if pid == 0:
            stdlib._exit(0)
        while not ended:
            sleep(0.001)
        ended.clear()
        return pid

    ended: list[tuple[int, int]] = []
    first = watch()
    assert list(os._kept) == [first]
    kept, when = os._kept[first]
    os._kept[first] = kept, when - 61
    second = watch()
    assert list(os._kept) == [second]
    assert os.waitpid(-1, 0) == (second, 0)
    os._kept[first] = kept, when - 61  # as it is where there was no other fork_and_watch()
    with pytest.raises(ChildProcessError):
        os.waitpid(first, 0)
    assert not os._kept and not os._watched


def test_a_watched_child_that_goes_on_has_not_ended() -> None:
    ended: list[tuple[int, int]] = []
    pid = os.fork_and_watch(lambda *end: ended.append(end))
    if pid == 0:
        stdlib.kill(stdlib.getpid(), signal.SIGSTOP)
        while True:
            signal.pause()
    try:
        assert stdlib.WIFSTOPPED(os.waitpid(pid, stdlib.WUNTRACED)[1])
        stdlib.kill(pid, signal.SIGCONT)
        assert stdlib.WIFCONTINUED(os.waitpid(pid, stdlib.WCONTINUED)[1])
        assert os._watched == {pid: None}
    finally:
        stdlib.kill(pid, signal.SIGKILL)
    assert os.waitpid(pid, 0) == (pid, signal.SIGKILL)
    while not ended:
        sleep(0.001)
    assert ended == [(pid, signal.SIGKILL)]


def test_who_waits_for_any_child_is_told_of_one_that_its_task_has_reaped(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    over = threading.Event()
    # The thread that looks comes when it is gone, and goes on to wait for other children.
    monkeypatch.setattr(os, "_waitid", lambda *which: over.wait())
    pid = os.fork_and_watch()
    if pid == 0:
        stdlib.read(pipe[0], 1)
        stdlib._exit(7)
    waiting = spawn(os.waitpid, -1, 0)
    sleep(0)
    stdlib.write(pipe[1], b"x")
    try:
        assert waiting.get(timeout=30) == (pid, 7 << 8)
    finally:
        over.set()


def test_forkpty_and_watch_gives_the_terminal_too() -> None:
    ended: list[tuple[int, int]] = []
    pid, terminal = os.forkpty_and_watch(lambda *end: ended.append(end))
    if pid == 0:
        stdlib._exit(7 if stdlib.isatty(0) else 8)
    while not ended:
        sleep(0.001)
    assert ended == [(pid, 7 << 8)]
    assert os.waitpid(pid, 0) == ended[0]
    stdlib.close(terminal)


def test_descriptors_read_and_write_without_blocking(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    assert (os.make_nonblocking(reader), os.make_nonblocking(reader)) == (True, None)
    os.make_nonblocking(writer)
    data = bytes(range(256)) * 1000

    def write() -> None:
        view = memoryview(data)
        while view:
            view = view[os.nb_write(writer, view) :]

    writing = spawn(write)
    got = b""
    while len(got) < len(data):
        got += os.nb_read(reader, 100_000)
    assert got == data
    assert writing.ready()


@pytest.mark.parametrize("read", [os.tp_read, os.nb_read], ids=["tp_read", "nb_read"])
def test_reading_waits_in_the_task_alone(
    pipe: tuple[int, int], read: Callable[[int, int], bytes]
) -> None:
    if read is os.nb_read:
        os.make_nonblocking(pipe[0])
    reading = spawn(read, pipe[0], 10)
    sleep(0)
    assert not reading.ready()
    assert os.tp_write(pipe[1], b"hello") == 5
    assert reading.get() == b"hello"


def test_names_of_the_module() -> None:
    assert os.getpid() == stdlib.getpid()
    assert os.fork_gevent is os.fork
    assert pycoro.os is os
