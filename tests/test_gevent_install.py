"""pycoro in gevent's place: install(), python -m pycoro.gevent, and programs that are built on it.

Each in a process of its own, for the tests here have the real gevent.
"""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest
from helpers import needs, output_of, run_python

import pycoro
import pycoro.gevent


def test_install() -> None:
    assert output_of(
        """
        import pycoro.gevent
        pycoro.gevent.install()
        pycoro.gevent.install()  # twice is as good as once
        import gevent
        import gevent.pool
        from gevent import monkey, socket, Timeout, greenlet
        from gevent.greenlet import Greenlet
        from gevent.event import Event
        import greenlet as package
        print(gevent is pycoro.gevent, gevent.spawn is pycoro.spawn, gevent.pool is pycoro.pool)
        print(monkey.__name__, socket.__name__, greenlet.__name__, package.__name__)
        print(Greenlet is gevent.Greenlet, gevent.Timeout is Timeout, gevent.lock.__name__)
        print(gevent.version_info >= (20, 9), gevent.__version__.split(".")[0] > "19")
        """
    ) == [
        "True True True",
        "pycoro.monkey pycoro.socket pycoro.gevent.greenlet pycoro.greenlet",
        "True True pycoro.lock",
        "True True",
    ]


@pytest.mark.parametrize("package", ["gevent", "greenlet"])
def test_install_comes_too_late(package: str) -> None:
    assert output_of(
        f"""
        import {package}, sys
        import pycoro.gevent
        try:
            pycoro.gevent.install()
        except RuntimeError as error:
            print(error)
        print({package}.__name__, sys.modules.get("gevent") is pycoro.gevent)
        """
    ) == [
        f"{package} has been imported already: pycoro.{package}.install() must come before all "
        "that imports it",
        f"{package} False",
    ]


def test_what_is_not_there_is_told() -> None:
    assert output_of(
        """
        import pycoro.gevent
        pycoro.gevent.install()
        import gevent
        for name in ("ares", "nursery"):  # pycoro's other modules are none of gevent's
            try:
                __import__(f"gevent.{name}")
            except ModuleNotFoundError as error:
                print(error.name, error)
        print(hasattr(gevent, "nothing"))
        try:
            from gevent import nothing
        except ImportError as error:
            print(error.name)
        """
    ) == [
        f"{name} No module named {name!r}: pycoro is in gevent's place, and has no such part "
        "(docs/gevent.md)"
        for name in ("gevent.ares", "gevent.nursery")
    ] + [
        "False",
        "pycoro.gevent",
    ]


def test_no_thread_gets_a_module_half_made() -> None:
    assert output_of(
        """
        import importlib, sys
        import pycoro.gevent
        pycoro.gevent.install()
        load = importlib.import_module
        def import_module(name):
            print(name, sys.modules.get("gevent.event"))
            return load(name)
        importlib.import_module = import_module
        from gevent.event import Event
        module = sys.modules["gevent.event"]
        print(module is pycoro.event, module.__spec__.name, module.__name__)
        """
    ) == ["pycoro.event None", "True pycoro.event pycoro.event"]


def test_all_names_are_gevents() -> None:
    names = set(pytest.importorskip("gevent").__all__)
    assert set(pycoro.gevent.__all__) == names
    assert {name for name in names if not hasattr(pycoro.gevent, name)} == set()


def test_all_parts_are_there() -> None:
    pytest.importorskip("httptools", reason="httptools is missing: pip install 'pycoro[wsgi]'")
    assert [name for name in pycoro.gevent.PARTS if find_spec(f"gevent.{name}") is None] == []
    assert [getattr(pycoro.gevent, name).__name__ for name in pycoro.gevent.PARTS] == [
        f"pycoro.{name}" for name in pycoro.gevent.PARTS
    ]
    assert {"spawn", "pool", "install"} <= set(dir(pycoro.gevent))
    assert pycoro.gevent.__version__ == ".".join(map(str, pycoro.gevent.version_info[:3]))


PROGRAM = """
import sys, gevent
from gevent import monkey; monkey.patch_all()
import time
print(gevent.__name__, __name__, sys.argv[1:])
jobs = [gevent.spawn(time.sleep, 0.1) for _ in range(3)]
print(len(gevent.joinall(jobs, timeout=10)))
"""


def test_python_m_runs_a_program(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    for program in (["program.py"], ["-m", "program"], ["-c", PROGRAM]):
        done = subprocess.run(
            [sys.executable, "-m", "pycoro.gevent", *program, "-x", "y"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.stderr, done.returncode) == ("", 0)
        assert done.stdout.splitlines() == ["pycoro.gevent __main__ ['-x', 'y']", "3"]


# ---- what is built on it: the extra `dependents` ----


@contextmanager
def program(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """python -m pycoro.gevent, until the end of the block."""
    with subprocess.Popen(
        [sys.executable, "-m", "pycoro.gevent", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


APPLICATION = """
import gevent
def app(environ, start_response):
    gevent.sleep(0.01)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [type(gevent.getcurrent()).__name__.encode()]
"""


def read(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        return b"".join(iter(lambda: client.recv(4096), b""))


@needs("gunicorn", "httptools")
@pytest.mark.parametrize("worker", ["gevent", "gevent_pywsgi"])
def test_gunicorns_worker_for_gevent(tmp_path: Path, worker: str) -> None:
    (tmp_path / "app.py").write_text(APPLICATION)
    arguments = ("-m", "gunicorn", "-k", worker, "-b", "127.0.0.1:0", "--no-control-socket")
    with program(tmp_path, *arguments, "app:app") as process:
        assert process.stdout is not None
        found = None
        while found is None:
            line = process.stdout.readline()
            assert line
            found = re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", line)
        assert read(int(found[1])).count(b"Task") == 1


LOCUSTS = """
from locust import FastHttpUser, HttpUser, constant, task
class Slow(HttpUser):
    wait_time = constant(0)
    @task
    def page(self): self.client.get("/")
class Fast(FastHttpUser):
    wait_time = constant(0)
    @task
    def page(self): self.client.get("/")
"""


@needs("locust", "httptools")
def test_locust(tmp_path: Path) -> None:
    (tmp_path / "locustfile.py").write_text(LOCUSTS)
    code = """
        import json, sys
        from pycoro import pywsgi, subprocess
        def app(environ, start_response):
            start_response("200 OK", [("Content-Length", "5")])
            return [b"hello"]
        with pywsgi.WSGIServer(("127.0.0.1", 0), app, log=None) as server:
            server.start()
            done = subprocess.run(
                [sys.executable, "-m", "pycoro.gevent", "-m", "locust", "-f", sys.argv[1],
                 "--headless", "-u", "20", "-r", "20", "-t", "2s", "--json", "--skip-log-setup",
                 "-H", f"http://127.0.0.1:{server.server_port}"],
                capture_output=True, text=True, timeout=50)
        try:
            kinds = json.loads(done.stdout)
        except ValueError:
            sys.exit(done.stdout + done.stderr)
        print(done.returncode, [(k["num_requests"] > 100, k["num_failures"]) for k in kinds])
    """
    code = code.replace("sys.argv[1]", repr(str(tmp_path / "locustfile.py")))
    done = run_python(code)
    assert done.stdout == "0 [(True, 0)]\n", done.stdout + done.stderr
