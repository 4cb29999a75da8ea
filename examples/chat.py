"""A chat in the browser: one WSGI application, a page and a websocket, on pycoro.pywsgi.

    pip install 'pycoro[wsgi]' wsproto
    python examples/chat.py --bind :8080        then open http://localhost:8080/ twice

Everybody who is there has two tasks: one reads what the browser sends, the other alone writes to
it, from a queue. Whoever reads too slowly, so that it is full, is shown out, and nobody waits.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    CloseConnection,
    Message,
    Ping,
    RejectConnection,
    Request,
    TextMessage,
)

import pycoro
from pycoro.pywsgi import WSGIServer
from pycoro.queue import Full, Queue

PAGE = b"""<!doctype html><meta charset="utf-8"><title>Chat</title>
<form><input autofocus autocomplete="off"></form><ul></ul>
<script>
const socket = new WebSocket(`ws://${location.host}/chat`);
socket.onmessage = event => {
    const line = document.createElement("li");
    line.textContent = event.data;
    document.querySelector("ul").prepend(line);
};
document.forms[0].onsubmit = event => {
    const field = event.target[0];
    socket.send(field.value);
    field.value = "";
    event.preventDefault();
};
</script>
"""

present: set[Queue] = set()  # of everybody who is there


def tell_all(text: str) -> None:
    for queue in list(present):
        try:
            queue.put_nowait(Message(data=text))
        except Full:
            present.discard(queue)
            queue.queue.clear()
            queue.put_nowait(CloseConnection(code=1013, reason="too slow"))


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    if environ["PATH_INFO"] == "/":
        start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
        return [PAGE]
    if environ["PATH_INFO"] == "/chat" and "pycoro.upgrade" in environ:
        chat(environ)
        return []
    start_response("404 Not Found", [("Content-Type", "text/plain")])
    return [b"There is / and, for websockets, /chat.\n"]


def chat(environ: dict[str, Any]) -> None:
    """Until the browser goes."""
    sock, data = environ["pycoro.upgrade"]()
    websocket = WSConnection(ConnectionType.SERVER)
    headers = [
        (key.removeprefix("HTTP_").replace("_", "-").lower().encode(), value.encode("latin-1"))
        for key, value in environ.items()
        if key.startswith("HTTP_")
    ]
    websocket.initiate_upgrade_connection(headers, environ["PATH_INFO"])
    queue: Queue = Queue(maxsize=100)
    writer = pycoro.spawn(write, sock, websocket, queue)
    websocket.receive_data(data)
    try:
        if read(sock, websocket, queue):
            writer.join(timeout=5)
    finally:
        present.discard(queue)
        writer.kill()


def read(sock: Any, websocket: WSConnection, queue: Queue) -> bool:
    """Is there a last word in the queue? Else the browser has just gone."""
    text = ""
    while True:
        for event in websocket.events():
            if isinstance(event, Request):
                origin = [value for name, value in event.extra_headers if name == b"origin"]
                if origin and origin[0].split(b"://")[-1] != event.host.encode():
                    queue.put(RejectConnection(status_code=403))  # another site's page
                    return True
                queue.put(AcceptConnection())
                present.add(queue)
            elif isinstance(event, TextMessage):
                text += event.data
                if len(text) > 10_000:
                    queue.put(CloseConnection(code=1009))
                    return True
                if event.message_finished:
                    tell_all(text)
                    text = ""
            elif isinstance(event, Ping | CloseConnection):
                queue.put(event.response())
                if isinstance(event, CloseConnection):
                    return True
        data = sock.recv(65536)
        if not data:
            return False
        websocket.receive_data(data)


def write(sock: Any, websocket: WSConnection, queue: Queue) -> None:
    last = False
    while not last:
        event = queue.get()
        last = isinstance(event, CloseConnection | RejectConnection)
        sock.sendall(websocket.send(event))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bind", default="127.0.0.1:8080")
    server = WSGIServer(parser.parse_args().bind, application, log=None)
    server.start()
    host = server.server_host
    print(f"http://{f'[{host}]' if ':' in host else host}:{server.server_port}/", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
