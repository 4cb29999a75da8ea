"""A console in a running program: each connection's own, and what is printed goes there alone."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest
from peers import Api

from pycoro import backdoor, joinall, sleep, spawn
from pycoro.socket import create_connection


class Client:
    """Talks to a console, line by line."""

    def __init__(self, api: Any, server: Any) -> None:
        self.socket = api.socket.create_connection(("127.0.0.1", server.server_port), timeout=10)
        self.file = self.socket.makefile("r")

    def until(self, end: str) -> str:
        text = ""
        while not text.endswith(end):
            character = self.file.read(1)
            if not character:
                return text
            text += character
        return text[: -len(end)]

    def ask(self, line: str) -> str:
        self.socket.sendall(line.encode() + b"\r\n")
        return self.until(">>> ")

    def close(self) -> None:
        self.file.close()
        self.socket.close()


@pytest.fixture
def server(api: Api) -> Iterator[Any]:
    streams = (sys.stdin, sys.stdout, sys.stderr)
    server = api.backdoor.BackdoorServer(("127.0.0.1", 0), locals={"given": [1]}, banner="welcome")
    server.start()
    yield server
    server.stop(timeout=1)
    assert (sys.stdin, sys.stdout, sys.stderr) == streams


def test_a_console(api: Api, server: Any) -> None:
    client = Client(api, server)
    assert client.until(">>> ") == "welcome\n"
    assert client.ask("given") == "[1]\n"
    assert client.ask("print('printed')") == "printed\n"
    assert client.ask("import sys; _ = sys.stdout.write('written\\n')") == "written\n"
    assert "ZeroDivisionError" in client.ask("1 / 0")
    client.socket.sendall(b"for i in range(2):\n    print(i)\n")
    assert client.until("... ") == ""
    assert client.until("... ") == ""
    assert client.ask("") == "0\n1\n"
    client.socket.sendall(b"exit()\n")
    assert client.until(">>> ") == ""
    client.close()


def test_each_console_has_names_of_its_own(api: Api, server: Any) -> None:
    one, another = Client(api, server), Client(api, server)
    for client in (one, another):
        client.until(">>> ")
    assert one.ask("mine = 1") == ""
    assert "NameError" in another.ask("mine")
    assert one.ask("mine") == "1\n"
    one.close()
    another.close()


class Ours:
    """For what is ours alone."""

    class socket:
        create_connection = staticmethod(create_connection)


def test_others_print_where_they_did_before(
    clean_loop: None, capsys: pytest.CaptureFixture[str]
) -> None:
    server = backdoor.BackdoorServer(("127.0.0.1", 0), banner="", locals={"spawn": spawn})
    server.start()
    client = Client(Ours, server)
    client.until(">>> ")
    task = spawn(print, "of a task")
    print("of the main program")
    task.join()
    assert client.ask("_ = spawn(print, 'of a task of the console').join()") == (
        "of a task of the console\n"
    )
    client.close()
    while server._handlers.running:
        sleep(0)
    print("afterwards")
    server.stop()
    assert capsys.readouterr().out == "of the main program\nof a task\nafterwards\n"


def test_a_client_that_goes_away_takes_nothing_along(clean_loop: None) -> None:
    streams = (sys.stdin, sys.stdout, sys.stderr)
    server = backdoor.BackdoorServer(("127.0.0.1", 0), banner="")
    server.start()
    clients = [Client(Ours, server) for _ in range(3)]
    joinall([spawn(client.until, ">>> ") for client in clients])
    clients[0].socket.sendall(b"while True: print('x' * 1000000)\n\n")
    for client in clients:
        client.close()
    server.stop(timeout=0.01)
    assert (sys.stdin, sys.stdout, sys.stderr) == streams
