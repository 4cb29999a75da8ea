"""Ten thousand connections that are kept and say nothing: others are served meanwhile, memory is
bounded, and does not grow when they come again.

The server is a process of its own: so each has its own descriptors, and its memory is its own.
"""

from __future__ import annotations

import resource
import signal
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
import web  # noqa: F401  # skips all of this without httptools
from helpers import needs_reuse
from load import raise_descriptor_limit
from test_prefork import running
from web import Client

import pycoro
from pycoro import pool, socket

pytestmark = pytest.mark.usefixtures("clean_loop")

COUNT = 10_000
MOST = 24 << 10  # bytes of memory for one, without the kernel's; it takes about 17
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: leaves no port in TIME_WAIT

SERVER = """
from pycoro.pywsgi import WSGIServer

def application(environ, start_response):
    text = "%s %d" % (environ["PATH_INFO"], len(one.watchman.connections))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [text.encode()]

one = WSGIServer(("127.0.0.1", 0), application, log=None)
one.start()
print(one.server_port, flush=True)
one.serve_forever()
"""


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    former = resource.getrlimit(resource.RLIMIT_NOFILE)
    if not raise_descriptor_limit(COUNT + 200):
        pytest.skip(f"{COUNT + 200:,} descriptors are more than allowed here: see ulimit -Hn")
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, former)


class Server:
    """Where Client connects to."""

    family = socket.AF_INET

    def __init__(self, pid: int, port: int) -> None:
        self.pid = pid
        self.address = ("127.0.0.1", port)

    def resident(self) -> int:
        pages = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        return int(pages) * resource.getpagesize()

    def connections(self) -> int:
        """How many it has, this one left out."""
        with Client(self) as client:  # type: ignore[arg-type]
            return int(client.get().body.split()[1]) - 1


def come(server: Server, count: int) -> list[Client]:
    """So many connections, each of which has had an answer."""

    def one(number: int) -> Client:
        client = Client(server)  # type: ignore[arg-type]
        assert client.get(f"/{number}").body.startswith(b"/%d " % number)
        return client

    return list(pool.Pool(200).map(one, range(count)))


def go(server: Server, clients: list[Client]) -> None:
    for client in clients:
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        client.sock.close()
    while server.connections():
        pycoro.sleep(0.01)


@needs_reuse
@pytest.mark.usefixtures("many_descriptors")
def test_ten_thousand_idle_connections() -> None:
    with running("-c", SERVER) as process:
        assert process.stdout is not None
        server = Server(process.pid, int(process.stdout.readline()))
        go(server, come(server, 300))
        sizes = [server.resident()]
        for count in (COUNT, COUNT // 2):
            idle = come(server, count)
            assert server.connections() == count
            sizes.append(server.resident())
            with Client(server) as other:  # type: ignore[arg-type]
                assert {other.get("/x").code for _ in range(200)} == {200}
            # And some of them once more, who have been idle so far.
            assert {client.get("/x").code for client in idle[::20]} == {200}
            sizes.append(server.resident())
            go(server, idle)
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=30) == ("", "")
    before, first, first_used, again, again_used = sizes
    assert first - before < COUNT * MOST
    assert max(first_used, again, again_used) - first < COUNT * MOST // 20
