"""Many connections, in all the ways they can end, and too few descriptors: nothing is lost, nothing
leaks, and both ends have counted the same. `python -m tests.load` plays more of the same."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import load
import pytest
from helpers import output_of, run_python

pytestmark = pytest.mark.usefixtures("clean_loop")


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    former = resource.getrlimit(resource.RLIMIT_NOFILE)
    if not load.raise_descriptor_limit(10_200):
        pytest.skip("10,200 descriptors are more than this process may have: see ulimit -Hn")
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, former)


@pytest.mark.usefixtures("many_descriptors")
def test_five_thousand_connections_at_once() -> None:
    with load.nothing_left():
        clients, server = load.at_once(5_000)
    assert clients == server == {"most at once": 5_000, "ended": 5_000, "sum": sum(range(5_000))}


def test_churn() -> None:
    with load.nothing_left():
        clients, server = load.churn(3_000)
    ends = {"ended by the client": 1_000, "ended by the server": 1_000, "reset": 1_000}
    assert clients == server == {"sum": sum(range(3_000)), **ends}


def test_resets_in_the_middle() -> None:
    with load.nothing_left():
        clients, server = load.resets(200)
    assert clients == server == {"the server has reset": 100, "the client has reset": 100}


def test_half_closed_peers() -> None:
    with load.nothing_left():
        clients, server = load.half_closed(300)
    assert clients == server
    assert (
        clients["answered"] == clients["sent"] == sum(8 * (100 + number) for number in range(300))
    )


def test_a_slow_reader() -> None:
    with load.nothing_left():
        clients, server = load.slow_reader(64)
    assert clients == server == {"bytes": 64 << 20, "others' answers": 1_000}


# The clients are a process of their own, with as many descriptors as they like.
CLIENTS = """
import sys
from pycoro import joinall, socket, spawn

address = "127.0.0.1", int(sys.argv[1])
answers = []

def ask(number):
    with socket.create_connection(address) as connection:
        connection.sendall(b"%d" % number)
        answers.append(int(connection.recv(100)))
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""

joinall([spawn(ask, number) for number in range(200)], raise_error=True)
print(sorted(answers) == list(range(200)))
"""

FEW_DESCRIPTORS = f"""
import errno, resource, sys
import pycoro
from pycoro import pool, socket, subprocess

LIMIT = 64
served = refused = 0
listener = socket.create_server(("127.0.0.1", 0), backlog=200)
command = [sys.executable, "-c", {CLIENTS!r}, str(listener.getsockname()[1])]
clients = subprocess.Popen(command, stdout=subprocess.PIPE)

def handle(connection, address):
    global served
    with connection:
        connection.sendall(connection.recv(100))
        assert connection.recv(100) == b""
    served += 1
"""


def test_too_few_descriptors_for_an_accept_loop() -> None:
    """accept() tells of it, as the stdlib's; who waits a little and tries again goes on."""
    code = """
handlers = pool.Group()

def accept():
    global refused
    while True:
        try:
            handlers.spawn(handle, *listener.accept())
        except OSError as error:
            assert error.errno == errno.EMFILE, error
            refused += 1
            pycoro.sleep(0.01)

accepting = pycoro.spawn(accept)
pycoro.sleep(0)
resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
print(clients.communicate()[0].decode().strip())
handlers.join()
accepting.kill()
print(served, refused > 0)
"""
    assert output_of(FEW_DESCRIPTORS + code) == ["True", "200 True"]


def test_too_few_descriptors_for_a_server() -> None:
    code = """
from pycoro.server import StreamServer

server = StreamServer(listener, handle)
server.start()
resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
print(clients.communicate()[0].decode().strip())
server.stop()
print(served)
"""
    done = run_python(FEW_DESCRIPTORS + code)
    assert (done.stdout.split(), done.returncode) == (["True", "200"], 0), done.stderr[-2000:]
    assert "Too many open files" in done.stderr  # it tells, and tries again later
