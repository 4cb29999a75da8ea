"""Worker processes, their supervisor, and the command line of pywsgi."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from helpers import ROOT

import pycoro
from pycoro import prefork, server, testing
from pycoro.heartbeat import Heartbeat
from pycoro.workerprocess import Worker

LOCAL = ("127.0.0.1", 0)
needs_httptools = pytest.mark.skipif(
    find_spec("httptools") is None, reason="httptools is missing: pip install 'pycoro[wsgi]'"
)
LONGEST = 30.0  # seconds until a test has failed


@contextmanager
def running(*arguments: str, cwd: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    """A Python process in a group of its own, which is killed at the end."""
    process = subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "ignore:This process:DeprecationWarning",
        },
        start_new_session=True,
    )
    try:
        yield process
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.communicate()


def eventually(condition: Callable[[], Any]) -> Any:
    """What it gives, once that is true. Errors of connecting count as not yet."""
    end = time.monotonic() + LONGEST
    while time.monotonic() < end:
        try:
            if found := condition():
                return found
        except (OSError, EOFError):
            pass
        time.sleep(0.005)
    raise AssertionError("that never came")


def ask(address: Any, text: bytes = b"") -> bytes:
    """The answer, to the end."""
    kind = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(kind) as client:
        client.settimeout(LONGEST)
        client.connect(address)
        client.sendall(text)
        parts = []
        while part := client.recv(1000):
            parts.append(part)
        if not parts:
            raise EOFError
        return b"".join(parts)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


def pids(address: Any) -> set[int]:
    """Of workers that have answered lately."""
    return {int(ask(address)) for _ in range(20)}


SERVER = """
import os, sys
from pycoro import server, sleep

def handle(connection, address):
    connection.sendall(str(os.getpid()).encode())

class Server(server.StreamServer):
    def start(self):
        if os.path.exists(sys.argv[2]):
            self.loop.call_soon(os._exit, 5)
        super().start()

where = sys.argv[1]
one = Server(where if "/" in where else ("127.0.0.1", int(where)), handle, workers=3)
try:
    one.serve_forever(stop_timeout=5)
except KeyboardInterrupt:
    print("interrupted")
print("over", flush=True)
"""


@pytest.fixture
def script(tmp_path: Path) -> str:
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(SERVER))
    return str(path)


def test_workers_share_a_port_and_are_replaced(script: str, tmp_path: Path) -> None:
    address = ("127.0.0.1", free_port())
    with running(script, str(address[1]), str(tmp_path / "fail")) as process:
        first = eventually(lambda: len(found := pids(address)) == 3 and found)
        assert process.pid not in first
        victim = min(first)
        os.kill(victim, signal.SIGKILL)
        second = eventually(lambda: len(found := pids(address) - {victim}) == 3 and found)
        assert len(second & first) == 2
        process.send_signal(signal.SIGHUP)
        third = eventually(lambda: not (found := pids(address)) & second and found)
        assert not third & first
        process.terminate()
        out, err = process.communicate(timeout=LONGEST)
        assert (process.returncode, out) == (0, "over\n")
        assert err == f"pycoro: worker {victim} has ended (signal 9): there will be another\n"
        for pid in first | second | third:
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)


def test_a_unix_socket_is_shared_and_removed(script: str, tmp_path: Path) -> None:
    address = str(tmp_path / "socket")
    with running(script, address, str(tmp_path / "fail")) as process:
        victim = eventually(lambda: int(ask(address)))
        os.kill(victim, signal.SIGKILL)
        eventually(lambda: int(ask(address)) != victim)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=LONGEST)[0] == "interrupted\nover\n"
    assert not Path(address).exists()


def test_workers_that_die_young_are_not_many(script: str, tmp_path: Path) -> None:
    """They are tried again later and later; and work again once they can."""
    fail = tmp_path / "fail"
    fail.touch()
    address = ("127.0.0.1", free_port())
    with running(script, str(address[1]), str(fail)) as process:
        assert process.stderr is not None
        lines = [process.stderr.readline() for _ in range(6)]
        assert all("has ended (exit code 5): there will be another" in line for line in lines)
        fail.unlink()
        assert eventually(lambda: pids(address))


def test_workers_end_with_their_supervisor(script: str, tmp_path: Path) -> None:
    address = ("127.0.0.1", free_port())
    with running(script, str(address[1]), str(tmp_path / "fail")) as process:
        workers = eventually(lambda: len(found := pids(address)) == 3 and found)
        process.kill()
        process.wait()

        def gone() -> bool:
            return not any(Path(f"/proc/{pid}/cwd").exists() for pid in workers)

        eventually(gone)


def test_a_worker_that_does_not_end_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            import signal, socket, time
            from pycoro import prefork

            def serve():
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                print("stays", flush=True)
                while True:
                    time.sleep(1)

            prefork._KILLED = 0.05
            prefork.Supervisor(id, serve, [socket.socket()], grace=0.0).run()
            print("over")
            """
        )
    )
    with running(str(script)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "stays\n"
        process.terminate()
        out, err = process.communicate(timeout=LONGEST)
        assert (out, process.returncode) == ("over\n", 0)
        assert err.endswith("has not ended in time: killed\n")


HANGS = """
import os, signal, sys
from pycoro import server, workerprocess
from pycoro.heartbeat import Heartbeat

class Heart(Heartbeat):
    "Who has not been hung has a minute more: the machine may be busy."
    def start(self):
        global heart
        heart = self
        super().start()

    @property
    def last(self):
        return super().last + (0 if self._time[1] else 60)

    def be_hung(self):
        self._time[1] = 1.0

workerprocess.Heartbeat = Heart

def handle(connection, address):
    what = connection.recv(10)
    if what == b"block":
        signal.signal(signal.SIGABRT, signal.SIG_IGN)
    connection.sendall(f"{os.getpid()} {heart.last}".encode())
    if what in (b"block", b"compute"):
        heart.be_hung()
        while True:
            pass

class Server(server.StreamServer):
    worker_timeout = 0.5

Server(("127.0.0.1", int(sys.argv[1])), handle, workers=2).serve_forever(stop_timeout=5)
print("over", flush=True)
"""


def test_a_worker_that_hangs_is_replaced(tmp_path: Path) -> None:
    """It says where it stands; one that will not die of that is killed. All others, also those in
    their place, have a heart that beats, and are left alone."""
    script = tmp_path / "script.py"
    script.write_text(HANGS)
    address = ("127.0.0.1", free_port())

    def hang(what: bytes) -> int:
        """Whom it has hung, until the end of that process."""
        return int(eventually(lambda: ask(address, what)).split()[0])

    def beat(victims: set[int]) -> bool:
        """Have two beaten since they were first asked, and none of the victims?"""
        for _ in range(10):
            pid, last = ask(address, b"beat").split()
            beats.setdefault(int(pid), set()).add(last)
        living = [pid for pid in beats if len(beats[pid]) > 1]
        return len(living) == 2 and not victims & beats.keys()

    beats: dict[int, set[bytes]] = {}
    with running("-X", "faulthandler", str(script), str(address[1])) as process:
        victim = hang(b"compute")
        other = hang(b"block")
        eventually(lambda: beat({victim, other}))
        process.terminate()
        out, err = process.communicate(timeout=LONGEST)
    assert (process.returncode, out) == (0, "over\n")
    told = "pycoro: the loop of worker {} has stood still for more than 0.5 s: killed\n"
    assert [err.count(told.format(pid)) for pid in (victim, other)] == [1, 1]
    assert (err.count("has stood still"), err.count("has ended")) == (2, 2)
    assert re.search(r"Fatal Python error: Aborted\n(.*\n)+?  File .* in handle\n", err)
    assert f"worker {victim} has ended (signal 6): there will be another" in err
    assert f"worker {other} has ended (signal 9): there will be another" in err


class Heart:
    """A worker's, as a test likes."""

    last = 0.0


def test_who_is_killed_and_when(
    clock: testing.VirtualClock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Worker 1 beats, worker 2 stops at second 3; later the supervisor itself is late, and so
    everybody seems to be."""
    kills: list[tuple[float, int, int]] = []
    now = pycoro.get_loop().clock
    start = now()
    monkeypatch.setattr(
        prefork, "_kill", lambda pid, number: kills.append((now() - start, pid, number))
    )
    first, second = Worker(), Worker()
    for pid, worker in enumerate([first, second], 1):
        worker.pid, worker.born, worker.heart = pid, start, Heart()  # type: ignore[assignment]
    one = prefork.Supervisor(print, print, [None, None], worker_timeout=4.0)
    one._places[0].worker = first
    one._places[1].heir = second
    for turn in range(14):
        first.heart.last = now()  # type: ignore[union-attr,misc]
        if turn <= 3:
            second.heart.last = now()  # type: ignore[union-attr,misc]
        one._kill_hung()
        pycoro.sleep(1.0)
    assert kills == [
        (8.0, 2, signal.SIGABRT),
        *((float(turn), 2, signal.SIGKILL) for turn in range(9, 14)),
    ]
    one._places[1].heir = None
    kills.clear()
    pycoro.sleep(100)
    for _ in range(5):
        one._kill_hung()
        pycoro.sleep(1.0)
    assert kills == []
    one._kill_hung()
    assert kills == [(119.0, 1, signal.SIGABRT)]
    assert capsys.readouterr().err.count("has stood still for more than 4 s") == 2


def test_a_heart_beats_while_the_loop_turns(clock: testing.VirtualClock) -> None:
    heart = Heartbeat(0.5)
    assert heart.last == 0.0
    loop = pycoro.get_loop()
    start = loop.clock()
    heart.start()
    seen = []
    for _ in range(3):
        seen.append(heart.last - start)
        pycoro.sleep(0.75)
    assert seen == [0.0, 0.5, 1.5]
    [timer] = loop._timers
    timer.cancel()


@pytest.mark.parametrize("bad", [0, -1.0, float("nan"), "2"])
def test_no_worker_timeout(bad: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="worker_timeout must be"):
        prefork.Supervisor(print, print, [], worker_timeout=bad)


def test_where_there_can_be_no_workers(clean_loop: None) -> None:
    def handle(connection: Any, address: Any) -> None:
        pass

    for bad in (0, -1, True, 2.5, "2"):
        with pytest.raises(ValueError, match="workers"):
            server.StreamServer(LOCAL, handle, workers=bad)  # type: ignore[arg-type]
    one = server.StreamServer(LOCAL, handle, workers=2)
    with pytest.raises(RuntimeError, match="main program"):
        pycoro.spawn(prefork.Supervisor(print, print, []).run).get()
    one.start()
    with pytest.raises(RuntimeError, match=r"without start\(\)"):
        one.serve_forever()
    one.stop()


# ---- the command line ----

APPLICATION = """
import os, socket, threading, sys
import pycoro

class Names:
    def application(environ, start_response):
        start_response("200 OK", [])
        patched = issubclass(socket.socket, pycoro.socket.socket)
        return [f"{os.getpid()} {TEXT} {patched} {environ['wsgi.multiprocess']}".encode()]

app = Names.application
TEXT = "first"

def make():
    return app
"""


@pytest.fixture
def module(tmp_path: Path) -> Path:
    path = tmp_path / "shop.py"
    path.write_text(textwrap.dedent(APPLICATION))
    return path


def request(port: int) -> list[str]:
    answer = ask(("127.0.0.1", port), b"GET /x HTTP/1.0\r\n\r\n")
    return answer.split(b"\r\n\r\n")[1].decode().split()


@needs_httptools
@pytest.mark.parametrize(
    ("name", "options", "patched"),
    [
        ("shop", [], "True"),
        ("shop:Names.application", ["--no-patch"], "False"),
        ("shop:make", ["--factory", "--max-connections", "7", "--max-body", "9"], "True"),
    ],
)
def test_the_command_line(name: str, options: list[str], patched: str, module: Path) -> None:
    port = free_port()
    log = module.parent / "log"
    arguments = ["-m", "pycoro.pywsgi", name, "-b", f"127.0.0.1:{port}", *options]
    with running(*arguments, "--access-log", str(log), cwd=module.parent) as process:
        answer = eventually(lambda: request(port))
        assert answer == [str(process.pid), "first", patched, "False"]
        process.terminate()
        assert process.communicate(timeout=LONGEST) == ("", "")
        assert process.returncode == 0
    assert '"GET /x HTTP/1.0" 200' in log.read_text()


@needs_httptools
@pytest.mark.parametrize("name", ["shop:app", "store.front:app"])
def test_a_reload_brings_new_code(name: str, module: Path) -> None:
    """Also that of the package, which the supervisor must not have imported either."""
    folder = module.parent
    if name == "store.front:app":
        (folder / "store").mkdir()
        (folder / "store" / "front.py").write_text("from store import app\n")
        module = module.rename(folder / "store" / "__init__.py")
    port = free_port()
    arguments = ["-m", "pycoro.pywsgi", name, "-b", f"127.0.0.1:{port}", "-w", "2"]
    with running(*arguments, "--chdir", str(folder)) as process:
        first = eventually(lambda: request(port))
        assert first[1:] == ["first", "True", "True"] and int(first[0]) != process.pid
        module.write_text(textwrap.dedent(APPLICATION).replace('"first"', '"the second"'))
        process.send_signal(signal.SIGHUP)
        eventually(lambda: all("second" in request(port) for _ in range(10)))


@needs_httptools
@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nowhere:app"], "there is no module nowhere"),
        ([":app"], "there is no module \n"),
        ([".shop:app"], "there is no module .shop"),
        (["shop.more:app"], "there is no module shop.more"),
        (["shop.more:app", "-w", "2"], "there is no module shop.more"),
        (["shop:nothing"], "has no attribute 'nothing'"),
        (["shop:nothing", "-w", "3"], "has no attribute 'nothing'"),
        (["shop:TEXT"], "shop:TEXT is no WSGI application"),
        (["shop:TEXT", "-w", "2"], "shop:TEXT is no WSGI application"),
        (["shop", "-b", "127.0.0.1:99999"], "cannot listen at 127.0.0.1:99999: bind(): port"),
        (["shop", "-b", "unix:/no/such"], "cannot listen at unix:/no/such: [Errno 2]"),
        (["shop", "-w", "2", "-b", "unix:/no/such"], "cannot listen at unix:/no/such: [Errno 2]"),
        (["shop", "-b", "nonsense"], "Failed to parse address 'nonsense'"),
        (["shop", "--certfile", "missing"], "No such file"),
        (["shop", "--workers", "0"], "workers must be a positive int"),
        (["shop", "--worker-timeout", "5"], "--worker-timeout needs a supervisor"),
        (["shop", "-w", "2", "--worker-timeout", "0"], "worker_timeout must be above 0"),
    ],
)
def test_what_the_command_line_refuses(arguments: list[str], complaint: str, module: Path) -> None:
    with running("-m", "pycoro.pywsgi", *arguments, cwd=module.parent) as process:
        _, err = process.communicate(timeout=LONGEST)
        assert process.returncode in (1, 2)
        assert err.count(complaint) == 1 and "Traceback" not in err and "another" not in err
