"""Workers that cannot start: at the beginning, in place of one that has died, and in a reload."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from helpers import run_python
from test_prefork import (
    APPLICATION,
    LONGEST,
    eventually,
    free_port,
    needs_httptools,
    request,
    running,
)

SCRIPT = """
import socket, sys
from pycoro import prefork

def start(listener):
    global control
    control = socket.socket(socket.AF_UNIX)
    control.connect("control")
    if control.recv(1) != b"y":
        1 / 0

def serve():
    while True:
        control.sendall(control.recv(1))

prefork.Supervisor(start, serve, [socket.socket() for _ in range(3)]).run()
print("over")
"""
ERROR = "ZeroDivisionError: division by zero"


class Controlled:
    """A worker that starts, or does not, as the test says."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        connection.settimeout(LONGEST)
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 4)
        self.pid = int.from_bytes(credentials, "little")

    def start(self) -> Controlled:
        """Comes back when it serves."""
        self._connection.sendall(b"y")
        assert self.serves()
        return self

    def fail(self) -> None:
        self._connection.sendall(b"n")

    def serves(self) -> bool:
        self._connection.sendall(b"?")
        return self._connection.recv(1) == b"?"

    def is_told_to_end(self) -> bool:
        return self._connection.recv(1) == b""


class Workers:
    """The supervisor's process, and whoever begins to start, in turn."""

    def __init__(self, process: subprocess.Popen[str], control: socket.socket) -> None:
        self.process = process
        self._control = control
        self._open = ExitStack()
        self.others = ""  # lines that told() has passed over

    def next(self) -> Controlled:
        return Controlled(self._open.enter_context(self._control.accept()[0]))

    def start(self, count: int) -> list[Controlled]:
        return [self.next().start() for _ in range(count)]

    def told(self) -> str:
        """The next line on stderr that is no traceback's."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if line.startswith("pycoro: "):
                return line.removeprefix("pycoro: ")
            self.others += line
        raise AssertionError("it has ended")

    def close(self) -> None:
        self._open.close()

    def nobody_is_left(self) -> bool:
        """Who has not been taken by next() has never begun: once the supervisor has ended."""
        self._control.setblocking(False)
        with pytest.raises(BlockingIOError):
            self._control.accept()
        return True


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Workers]:
    (tmp_path / "script.py").write_text(SCRIPT)
    with socket.socket(socket.AF_UNIX) as control:
        control.bind(str(tmp_path / "control"))
        control.listen()
        control.settimeout(LONGEST)
        with running("script.py", cwd=tmp_path) as process:
            found = Workers(process, control)
            yield found
            found.close()


def test_the_first_goes_ahead_and_its_failure_is_the_end(workers: Workers) -> None:
    workers.next().fail()
    _, err = workers.process.communicate(timeout=LONGEST)
    assert workers.process.returncode == 1
    assert workers.nobody_is_left()
    assert err.count("1 / 0") == err.count(f"\n{ERROR}\n") == 1
    assert err.splitlines()[-1].endswith(f"Refused: the workers cannot start: {ERROR}")


def test_a_reload_that_fails_leaves_the_former_workers(workers: Workers) -> None:
    former = workers.start(3)
    workers.process.send_signal(signal.SIGHUP)
    new = workers.next()
    assert all(one.serves() for one in former)
    new.fail()
    assert workers.told() == (
        f"new worker {new.pid} cannot start, the former one goes on: {ERROR}\n"
    )
    assert workers.others.count("1 / 0") == 1
    assert all(one.serves() for one in former)
    workers.process.send_signal(signal.SIGHUP)
    later = workers.start(3)
    assert all(one.is_told_to_end() for one in former)
    assert all(one.serves() for one in later)
    workers.process.terminate()
    assert workers.process.communicate(timeout=LONGEST) == ("over\n", "")
    assert workers.nobody_is_left()


def test_a_reload_ends_the_one_under_way(workers: Workers) -> None:
    former = workers.start(3)
    workers.process.send_signal(signal.SIGHUP)
    new = workers.next()
    workers.process.send_signal(signal.SIGHUP)
    newer = workers.next()
    assert new.is_told_to_end()
    assert all(one.serves() for one in former)
    newer.start()
    assert former[0].is_told_to_end()
    assert all(one.serves() for one in former[1:])


def test_one_in_place_of_one_that_has_died_is_tried_again(workers: Workers) -> None:
    former = workers.start(3)
    os.kill(former[1].pid, signal.SIGKILL)
    assert workers.told() == (
        f"worker {former[1].pid} has ended (signal 9): there will be another\n"
    )
    another = workers.next()
    another.fail()
    assert workers.told() == (
        f"worker {another.pid} cannot start: {ERROR}: there will be another\n"
    )
    workers.start(1)
    assert former[0].serves() and former[2].serves()


def test_a_signal_between_fork_and_start_ends_the_worker() -> None:
    done = run_python("""
        import os, signal, socket
        from pycoro import prefork
        os.register_at_fork(after_in_child=lambda: os.kill(os.getpid(), signal.SIGTERM))
        prefork.Supervisor(lambda listener: os._exit(3), print, [socket.socket()]).run()
    """)
    assert done.stderr.splitlines()[-1].endswith("Refused: the workers cannot start: signal 15")


def test_a_fork_that_fails_is_tried_again() -> None:
    done = run_python("""
        import errno, os, signal, socket
        from pycoro import prefork
        count, fork = iter(range(9)), os.fork
        def once_failing():
            if next(count) == 1:
                raise BlockingIOError(errno.EAGAIN, "no more processes")
            return fork()
        os.fork = once_failing
        def serve():
            if next(count) == 3:  # the second worker, of the third fork
                os.kill(os.getppid(), signal.SIGTERM)
            signal.pause()
        prefork.Supervisor(lambda listener: None, serve, [socket.socket(), socket.socket()]).run()
        print("over")
    """)
    assert (done.stdout, done.stderr) == (
        "over\n",
        "pycoro: no new worker can be made now: [Errno 11] no more processes\n",
    )


# ---- the command line ----


@contextmanager
def command(folder: Path, text: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    (folder / "shop.py").write_text(text)
    port = free_port()
    arguments = ["-m", "pycoro.pywsgi", "shop:app", "-b", f"127.0.0.1:{port}", "-w", "3"]
    with running(*arguments, cwd=folder) as process:
        yield process, port


@needs_httptools
@pytest.mark.parametrize(
    ("text", "why", "tracebacks"),
    [
        ("1 / 0", ERROR, 1),
        ("{}['one\\ntwo']", r"KeyError: 'one\ntwo'", 1),
        ("raise ValueError('one\\ntwo')", "ValueError: one", 1),
        ("class Wrong(Exception): pass\nraise Wrong", "shop.Wrong", 1),
        ("x = (", "SyntaxError: '(' was never closed", 1),
        ("import sys; sys.exit()", "SystemExit", 1),
        ("import sys; sys.exit('no!')", "SystemExit: no!", 1),
        ("import os; os._exit(0)", "exit code 0", 0),
        ("import os; os.kill(os.getpid(), 9)", "signal 9", 0),
        ("", "module 'shop' has no attribute 'app'", 0),
    ],
)
def test_an_application_that_cannot_be_imported(
    text: str, why: str, tracebacks: int, tmp_path: Path
) -> None:
    with command(tmp_path, text) as (process, _):
        _, err = process.communicate(timeout=LONGEST)
        assert process.returncode == 1
        assert err.count("Traceback") == tracebacks
        assert err.splitlines()[-1] == f"python -m pycoro.pywsgi: the workers cannot start: {why}"
        assert err.count("pycoro.pywsgi: ") == 1 and "another" not in err


@needs_httptools
@pytest.mark.parametrize("bad", ["1 / 0", ""])
def test_a_reload_waits_for_mended_code(bad: str, tmp_path: Path) -> None:
    with command(tmp_path, APPLICATION) as (process, port):
        assert process.stderr is not None

        def pids() -> set[str]:
            return {request(port)[0] for _ in range(30)}

        first = eventually(lambda: len(found := pids()) == 3 and found)
        (tmp_path / "shop.py").write_text(bad)
        process.send_signal(signal.SIGHUP)
        line = next(line for line in process.stderr if line.startswith("pycoro: "))
        assert "cannot start, the former one goes on: " in line
        assert pids() == first
        (tmp_path / "shop.py").write_text(APPLICATION)
        process.send_signal(signal.SIGHUP)
        second = eventually(lambda: len(found := pids() - first) == 3 and found)
        assert not second & first
        process.terminate()
        assert process.communicate(timeout=LONGEST) == ("", "")
        assert process.returncode == 0
