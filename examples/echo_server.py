"""An echo server: a task for each connection, written as blocking code.

    python examples/echo_server.py 7000        and, in another terminal:
    nc 127.0.0.1 7000                          or: curl telnet://127.0.0.1:7000

Port 0, the default, takes a free one; the port is printed. Ctrl-C ends it.
"""

from __future__ import annotations

import argparse

import pycoro
import pycoro.socket


def echo(connection: pycoro.socket.socket, address: tuple[str, int]) -> None:
    print(f"{address[0]} connected", flush=True)
    count = 0
    with connection:
        while data := connection.recv(4096):
            connection.sendall(data)
            count += len(data)
    print(f"{address[0]} left after {count} bytes", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Sends back whatever it is sent.")
    parser.add_argument("port", type=int, nargs="?", default=0)
    with pycoro.socket.create_server(("127.0.0.1", parser.parse_args().port)) as listener:
        print(f"listening on port {listener.getsockname()[1]}", flush=True)
        try:
            while True:
                connection, address = listener.accept()
                pycoro.spawn(echo, connection, address)
        except KeyboardInterrupt:
            print("bye")


if __name__ == "__main__":
    main()
