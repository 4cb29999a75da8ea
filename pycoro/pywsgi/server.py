"""The WSGI server: its settings, what all environments have in common, and its end."""

from __future__ import annotations

import socket as _stdlib
import sys
from typing import Any

from ..server import StreamServer
from .handler import Application, WSGIHandler
from .log import WSGISecureEnviron, choose_log
from .response import FileWrapper
from .watchman import Watchman

_ERROR = 40  # logging's level


class WSGIServer(StreamServer):
    """Calls application(environ, start_response) for each request, as PEP 3333 says.

    log, error_log: what has write(), a logging.Logger, None for nowhere, "default" for stderr.
    environ: what is in all environments. spawn: how many connections at once, see BaseServer.
    Attributes, of a subclass or an instance, are limits; times are in seconds:

    max_request_line, max_head, max_body   bytes: else 414, 431, 413; max_body None for no limit
    max_headers                            how many: else 431
    head_timeout, body_timeout             for a head, and for each piece of a body: else 408
    keepalive_timeout, send_timeout        with no request, and for 256 KiB of a response
    stop_timeout                           for what is under way when the server is to stop

    Other arguments and errors: as of StreamServer.
    """

    handler_class: Any = WSGIHandler
    environ_class: type[dict[str, Any]] = dict
    secure_environ_class = WSGISecureEnviron
    application: Any
    base_env: dict[str, Any] = {  # noqa: RUF012  # gevent's name
        "GATEWAY_INTERFACE": "CGI/1.1",
        "SERVER_SOFTWARE": f"pycoro Python/{sys.version_info[0]}.{sys.version_info[1]}",
        "SCRIPT_NAME": "",
        "wsgi.version": (1, 0),
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,  # reading ends at the body's end, also of a chunked one
        "wsgi.file_wrapper": FileWrapper,
    }

    max_request_line = 8190
    max_head = 65536
    max_headers = 100
    max_body: int | None = None
    head_timeout = 30.0
    body_timeout = 60.0
    keepalive_timeout = 60.0
    send_timeout = 60.0
    linger_timeout = 2.0
    backlog = 1024
    tcp_nodelay: bool | None = True
    stop_timeout = 5.0

    def __init__(
        self,
        listener: Any,
        application: Application | None = None,
        backlog: int | None = None,
        spawn: Any = "default",
        log: Any = "default",
        error_log: Any = "default",
        handler_class: Any = None,
        environ: dict[str, Any] | None = None,
        **ssl_args: Any,
    ) -> None:
        super().__init__(listener, None, backlog, spawn, **ssl_args)
        if application is not None:
            self.application = application
        if not callable(getattr(self, "application", None)):
            raise TypeError("a WSGI server needs an application, which is callable")
        if handler_class is not None:
            self.handler_class = handler_class
        self.log = choose_log(log, 20)
        self.error_log = choose_log(error_log, _ERROR)
        self.now = 0.0  # the watchman's clock
        self.draining = False
        self.watchman: Any = None
        self.set_environ(environ)
        self.set_max_accept()

    def set_environ(self, environ: dict[str, Any] | None = None) -> None:
        """What is in all environments."""
        base = self.environ_class(self.base_env)
        base["wsgi.multiprocess"] = self.workers > 1
        base["wsgi.url_scheme"] = "https" if self.ssl_enabled else "http"
        base.update(environ or {})
        if base.get("wsgi.errors") is None:
            base["wsgi.errors"] = self.error_log
        self.environ = base

    def set_max_accept(self) -> None:
        """Other processes that listen here are to have their share."""
        if self.environ.get("wsgi.multiprocess"):
            self.max_accept = 1

    def get_environ(self) -> Any:
        """A copy of what is in all environments."""
        return self.environ_class(self.environ)

    def init_socket(self) -> None:
        super().init_socket()
        self.draining = False
        shortest = min(
            *(self.head_timeout, self.body_timeout, self.keepalive_timeout),
            *(self.send_timeout, self.linger_timeout),
        )
        self.watchman = Watchman(self, min(1.0, max(0.001, shortest / 4)))
        self.update_environ()

    def update_environ(self) -> None:
        """SERVER_NAME and SERVER_PORT, by the address; PEP 3333 wants both, whatever that is."""
        address = self.address
        name, port = "localhost", 443 if self.ssl_enabled else 80
        if isinstance(address, tuple):
            name, port = address[:2]
            name = _stdlib.gethostname() if name in ("", "0.0.0.0", "::") else name
        self.environ.setdefault("SERVER_NAME", name)
        self.environ.setdefault("SERVER_PORT", str(port))

    def do_handle(self, *args: Any) -> None:
        self.watchman.wake(self.loop)
        super().do_handle(*args)

    def drain(self) -> None:
        self.draining = True
        if self.watchman is not None:
            for connection in list(self.watchman.connections):
                connection.drain()

    def _end_handlers(self, timeout: float) -> None:
        super()._end_handlers(timeout)
        if self.watchman is not None:
            self.watchman.leave()

    def handle(self, sock: Any, address: Any) -> None:
        """One connection."""
        self.handler_class(sock, address, self).handle()
