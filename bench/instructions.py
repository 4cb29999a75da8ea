"""`python -m bench.instructions`: what a WSGI request costs in instructions, counted by valgrind's
callgrind, which is nearly the same each time whatever else the machine does.

Of each server, plain and in Flask; and of Flask that is called in a loop, without any server, which
is what no server can save. One connection, so a server waits in the kernel before each request.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

from bench import wsgi_server

FEW, MANY = 200, 700  # requests: what is told is the difference, so that starting is not counted
SERVERS = ("pycoro", "gevent pywsgi")
REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def count(arguments: Sequence[str], drive: Callable[[Any], None]) -> int:
    """Instructions of `python -m ARGUMENTS`, which drive(process) uses until it may be stopped."""
    with tempfile.TemporaryDirectory() as scratch:
        log = Path(scratch) / "log"
        tool = ["valgrind", "--tool=callgrind", f"--log-file={log}"]
        tool += [f"--callgrind-out-file={Path(scratch) / 'out'}"]
        process = subprocess.Popen(
            [*tool, sys.executable, "-m", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": "0"},
        )
        try:
            drive(process)
            process.send_signal(signal.SIGINT)
            process.wait(timeout=60)
        finally:
            process.kill()
            process.wait()
        found = re.search(r"Collected : (\d+)", log.read_text())
    if found is None:
        raise SystemExit(f"callgrind has counted nothing of {' '.join(arguments)}")
    return int(found[1])


def request(process: Any, times: int) -> None:
    port = process.stdout.readline()
    assert port, f"{process.args} ended before it listened"
    with socket.create_connection(("127.0.0.1", int(port))) as client:
        for _ in range(times):
            client.sendall(REQUEST)
            got = b""
            while not got.endswith(wsgi_server.TEXT):
                piece = client.recv(4096)
                if not piece:
                    raise SystemExit("the server has closed the connection")
                got += piece


def of_server(kind: str, application: str, times: int) -> int:
    arguments = ["bench.wsgi_server", kind, application, "0"]
    return count(arguments, lambda process: request(process, times))


def of_flask(times: int) -> int:
    return count(["bench.instructions", str(times)], lambda process: process.wait())


def call_flask(times: int) -> None:
    application = wsgi_server.make_flask()
    environ: dict[str, Any] = {}
    setup_testing_defaults(environ)
    for _ in range(times):
        response = application(dict(environ), lambda status, headers, error=None: None)
        b"".join(response)
        response.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.instructions", description=__doc__)
    parser.add_argument("calls", nargs="?", type=int, help="only call Flask so many times")
    calls = parser.parse_args().calls
    if calls is not None:
        call_flask(calls)
        return
    if shutil.which("valgrind") is None:
        raise SystemExit("valgrind is missing: apt-get install valgrind")
    lines: dict[str, Callable[[int], int]] = {"Flask, no server": of_flask}
    for application in ("plain", "Flask"):
        for kind in SERVERS:
            if kind in wsgi_server.kinds(application):
                lines[f"{application}, {kind}"] = partial(of_server, kind, application)
    print("thousand instructions a request")
    for name, measure in lines.items():
        thousands = (measure(MANY) - measure(FEW)) / (MANY - FEW) / 1000
        print(f"{name:22}{thousands:6.0f}", flush=True)


if __name__ == "__main__":
    main()
