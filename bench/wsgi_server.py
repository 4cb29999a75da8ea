"""The servers of test_wsgi.py: `python -m bench.wsgi_server KIND APPLICATION CORE` prints its port
and serves until it is killed, on that core alone, in one process that does the work.

All but uvicorn serve the same WSGI application: a plain one, or the same in Flask. uvicorn is for
ASGI, and serves the plain one as that. None writes an access log. All listen with the same backlog,
and with TCP_NODELAY, which all set but gevent's: without, that one sends a response in two parts,
of which the second waits 40 ms for the client's delayed acknowledgement.
"""

from __future__ import annotations

import importlib.metadata
import logging
import os
import socket
import sys
from collections.abc import Callable
from typing import Any

from bench import peers

TEXT = b"Hello, world!\n"
BACKLOG = 2048
THREADS = 4  # of servers that have a thread for each request


def hello(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "14")])
    return [TEXT]


def make_flask() -> Any:
    flask = peers.load("flask")
    app = flask.Flask("bench")

    @app.get("/")
    def index() -> Any:
        return flask.Response(TEXT, mimetype="text/plain")

    return app


async def hello_asgi(scope: Any, receive: Any, send: Any) -> None:
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"14")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": TEXT})


APPLICATIONS: dict[str, Callable[[], Any]] = {"plain": lambda: hello, "Flask": make_flask}

Serve = Callable[[Any, Any], None]
"""Serves an application at a listening socket, for ever."""


def serve_pycoro(listener: Any, application: Any) -> None:
    server = peers.load("pycoro.pywsgi").WSGIServer(listener, application, log=None)
    server.serve_forever()


def serve_gevent(listener: Any, application: Any) -> None:
    sock = peers.load("gevent.socket").socket(fileno=listener.detach())
    peers.load("gevent.pywsgi").WSGIServer(sock, application, log=None).serve_forever()


def serve_gunicorn(listener: Any, application: Any, worker: str = "gthread") -> None:
    base = peers.load("gunicorn.app.base").BaseApplication

    class Application(base):  # type: ignore[misc]
        def load_config(self) -> None:
            for name, value in {
                "bind": f"fd://{listener.fileno()}",
                "worker_class": worker,
                "threads": THREADS,
                "loglevel": "critical",
                "worker_connections": 2000,
                "keepalive": 60,
                "timeout": 0,  # servers are stopped at times
            }.items():
                self.cfg.set(name, value)

        def load(self) -> Any:
            return application

    Application().run()


def serve_gunicorn_with_pycoro(listener: Any, application: Any) -> None:
    serve_gunicorn(listener, application, "pycoro.gunicorn.Worker")


def serve_waitress(listener: Any, application: Any) -> None:
    logging.getLogger("waitress").setLevel(logging.ERROR)  # not of each queued request
    create = peers.load("waitress.server").create_server
    create(application, sockets=[listener], threads=THREADS, connection_limit=2000).run()


def serve_uvicorn(listener: Any, application: Any) -> None:
    uvicorn = peers.load("uvicorn")
    config = uvicorn.Config(hello_asgi, log_level="critical", access_log=False)
    uvicorn.Server(config).run(sockets=[listener])


NEEDS = {
    "pycoro": ("pycoro.pywsgi", serve_pycoro),
    "gevent pywsgi": ("gevent.pywsgi", serve_gevent),
    "gunicorn gthread": ("gunicorn.app.base", serve_gunicorn),
    "waitress": ("waitress.server", serve_waitress),
    "uvicorn": ("uvicorn", serve_uvicorn),
}


def kinds(application: str) -> dict[str, Serve]:
    """What can serve it here, by name; pycoro first. None where pycoro or Flask cannot."""
    if peers.load("httptools") is None or (application == "Flask" and peers.load("flask") is None):
        return {}
    return {
        kind: serve
        for kind, (module, serve) in NEEDS.items()
        if peers.load(module) is not None and (application, kind) != ("Flask", "uvicorn")
    }


def versions(kind: str, application: str) -> str:
    """What has served: "gunicorn 23.0.0, Flask 3.1.0"."""
    packages = [NEEDS[kind][0].partition(".")[0]]
    packages += ["httptools"] if kind in ("pycoro", "uvicorn") else []
    packages += ["Flask"] if application == "Flask" else []
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)


def main() -> None:
    kind, application, core = sys.argv[1], sys.argv[2], int(sys.argv[3])
    os.sched_setaffinity(0, {core})
    listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # what is accepted inherits it
    listener.set_inheritable(True)
    print(listener.getsockname()[1], flush=True)
    kinds(application)[kind](listener, APPLICATIONS[application]())


if __name__ == "__main__":
    main()
