"""Worker processes, their supervisor, and the command line of pywsgi."""

from __future__ import annotations

import os
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

from pycoro import prefork, server

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
            raise SystemExit(5)
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

            def work(listener):
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                print("stays", flush=True)
                while True:
                    time.sleep(1)

            prefork._KILLED = 0.05
            prefork.Supervisor(work, [socket.socket()], grace=0.0).run()
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


def test_where_there_can_be_no_workers(clean_loop: None) -> None:
    import pycoro

    def handle(connection: Any, address: Any) -> None:
        pass

    for bad in (0, -1, True, 2.5, "2"):
        with pytest.raises(ValueError, match="workers"):
            server.StreamServer(LOCAL, handle, workers=bad)  # type: ignore[arg-type]
    one = server.StreamServer(LOCAL, handle, workers=2)
    with pytest.raises(RuntimeError, match="main program"):
        pycoro.spawn(prefork.Supervisor(handle, []).run).get()  # type: ignore[arg-type]
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
def test_a_reload_brings_new_code(module: Path) -> None:
    port = free_port()
    arguments = ["-m", "pycoro.pywsgi", "shop:app", "-b", f"127.0.0.1:{port}", "-w", "2"]
    with running(*arguments, "--chdir", str(module.parent)) as process:
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
        (["shop:nothing"], "AttributeError"),
        (["shop:TEXT"], "shop:TEXT is no WSGI application"),
        (["shop", "-b", "nonsense"], "Failed to parse address 'nonsense'"),
        (["shop", "--certfile", "missing"], "No such file"),
        (["shop", "--workers", "0"], "workers must be a positive int"),
    ],
)
def test_what_the_command_line_refuses(arguments: list[str], complaint: str, module: Path) -> None:
    with running("-m", "pycoro.pywsgi", *arguments, cwd=module.parent) as process:
        _, err = process.communicate(timeout=LONGEST)
        assert process.returncode in (1, 2)
        assert complaint in err
