"""A worker class for gunicorn: gunicorn -k pycoro.gunicorn.Worker module:application

gunicorn keeps the processes, and its settings hold: worker_connections, keepalive, timeout,
graceful_timeout, max_requests and its jitter, limits of requests, TLS, logs, hooks,
forwarded_allow_ips. Requests are pywsgi's. Needs the extra: pip install 'pycoro[gunicorn]'.

The standard library is patched in the worker, before it loads the application; with preload_app
that is too late for what is imported by then.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from datetime import timedelta
from types import FrameType
from typing import Any

try:
    from gunicorn.http.wsgi import base_environ  # type: ignore[import-not-found,import-untyped,unused-ignore]
    from gunicorn.sock import ssl_context  # type: ignore[import-not-found,import-untyped,unused-ignore]
    from gunicorn.workers.base import Worker as _Base  # type: ignore[import-not-found,import-untyped,unused-ignore]
except ImportError as error:
    raise ImportError("pycoro.gunicorn needs gunicorn: pip install 'pycoro[gunicorn]'") from error

from . import monkey
from .event import Event
from .forks import reinit
from .loop import get_loop
from .pool import Pool
from .pywsgi import BadRequest, LoggingLogAdapter, WSGIHandler, WSGIServer
from .pywsgi.response import FileWrapper
from .socket import socket
from .task import Task

_BEAT = 1.0  # seconds between two signs of life
_ERROR = 40  # logging's level
_UNLIMITED = 1 << 30


class Worker(_Base):  # type: ignore[misc,unused-ignore]
    """gunicorn makes it, and calls init_process() in the new process."""

    def init_process(self) -> None:
        self._wake = Event()
        signal.signal(signal.SIGTERM, self.handle_exit)  # it may come before all is ready
        with warnings.catch_warnings():
            if not self.cfg.preload_app:  # what has been made so far is gunicorn's own
                warnings.simplefilter("ignore", monkey.MonkeyPatchWarning)
            monkey.patch_all()
        reinit()
        super().init_process()

    # ---- signals: Python's handlers, which run anywhere ----

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM: what is under way may end."""
        self.alive = False
        get_loop().post_threadsafe(self._wake.set)

    def handle_quit(self, sig: int, frame: FrameType | None) -> None:
        """SIGQUIT and SIGINT: at once."""
        self.alive = False
        get_loop().post_threadsafe(Task.spawn, self._quit)

    def _quit(self) -> None:
        self.cfg.worker_int(self)
        sys.exit(0)  # in the main program, for a task that raises it ends all

    def handle_usr1(self, sig: int, frame: FrameType | None) -> None:
        """SIGUSR1: new log files."""
        get_loop().post_threadsafe(Task.spawn, self.log.reopen_files)

    # ---- serving ----

    def run(self) -> None:
        """Until gunicorn wants another one in its place."""
        servers = self._servers = [_Server(self, listener) for listener in self.sockets]
        for server in servers:
            server.start()
        while self.alive:
            self.notify()
            if self.ppid != os.getppid():
                self.log.info("Parent changed, shutting down: %s", self)
                break
            self._wake.wait(_BEAT)
        stops = [Task.spawn(server.stop, self.cfg.graceful_timeout) for server in servers]
        while any(not stop.ready() for stop in stops):
            self.notify()
            stops[0].join(_BEAT)
            stops.sort(key=Task.ready)

    def count(self) -> None:
        """A request has been served."""
        self.nr += 1
        if self.nr >= self.max_requests and self.alive:
            self.log.info("Autorestarting worker after current request.")
            self.alive = False
            for server in self._servers:
                server.close()
            self._wake.set()


class _Server(WSGIServer):
    """At one of gunicorn's sockets."""

    def __init__(self, worker: Any, listener: Any) -> None:
        cfg = worker.cfg
        self.worker = worker
        self.max_request_line = cfg.limit_request_line or _UNLIMITED
        self.max_headers = cfg.limit_request_fields
        self.max_head = max(self.max_head, cfg.limit_request_field_size or _UNLIMITED)
        self.keepalive_timeout = float(cfg.keepalive)
        self.stop_timeout = float(cfg.graceful_timeout)
        self.trusts = set(cfg.forwarded_allow_ips)
        self.secure_headers = [
            ("HTTP_" + name.upper().replace("-", "_"), value)
            for name, value in cfg.secure_scheme_headers.items()
        ]
        self.prefix = os.environ.get("SCRIPT_NAME", "").rstrip("/")
        environ = base_environ(cfg)
        environ.update({"wsgi.file_wrapper": FileWrapper, "SCRIPT_NAME": self.prefix})
        environ["wsgi.multithread"] = True  # requests run side by side
        super().__init__(
            socket(fileno=listener.sock.detach()),
            worker.wsgi,
            spawn=Pool(cfg.worker_connections),
            log=worker.log.access_log,
            error_log=LoggingLogAdapter(worker.log.error_log, _ERROR),
            handler_class=_Handler,
            environ=environ,
            **({"ssl_context": ssl_context(cfg)} if cfg.is_ssl else {}),
        )


class _Request:
    """What gunicorn's hooks and its log are told of."""

    def __init__(self, handler: WSGIHandler) -> None:
        self.method = handler.command
        self.uri = handler.path
        self.path, _, self.query = handler.path.partition("?")
        self.version = (1, int(handler.request_version[-1:] or 1))
        self.headers = [
            (key.removeprefix("HTTP_").replace("_", "-"), value)
            for key, value in handler._head.headers.items()
        ]


class _Response:
    """The same of the answer."""

    def __init__(self, handler: WSGIHandler) -> None:
        self.status = handler.status or "000"
        self.status_code = handler.code
        self.headers = handler.response_headers
        self.sent = self.response_length = handler.response_length


class _Handler(WSGIHandler):
    def get_environ(self) -> Any:
        environ = super().get_environ()
        server = self.server
        environ["RAW_URI"] = self.path
        environ["gunicorn.socket"] = self.socket
        if server.prefix:
            environ["PATH_INFO"] = environ["PATH_INFO"].removeprefix(server.prefix)
        trusts = server.trusts
        if "*" in trusts or environ["REMOTE_ADDR"] in trusts or not environ["REMOTE_ADDR"]:
            for key, value in server.secure_headers:
                if environ.get(key) == value:
                    environ["wsgi.url_scheme"] = "https"
        return environ

    def handle_one_response(self) -> None:
        worker = self.server.worker
        worker.count()
        if not worker.alive:
            self.server.draining = True  # so the answer says that it is the last one
        request = _Request(self)
        environ = self.environ
        worker.cfg.pre_request(worker, request)
        try:
            super().handle_one_response()
        finally:
            worker.cfg.post_request(worker, request, environ, _Response(self))

    def log_request(self) -> None:
        log = self.server.worker.log
        environ = self.environ or {
            **self._base,
            "REQUEST_METHOD": self.command,
            "RAW_URI": self.path,
            "SERVER_PROTOCOL": self.request_version,
        }
        seconds = timedelta(seconds=max(0.0, self.time_finish - self.time_start))
        log.access(_Response(self), _Request(self), environ, seconds)

    def handle_error(self, kind: Any, value: Any, traceback: Any) -> None:
        log = self.server.worker.log
        text = "Error handling request %s %s"
        log.error(text, self.command, self.path, exc_info=(kind, value, traceback))
        if isinstance(value, self.server.loop.SYSTEM_ERROR):
            self.server.loop.tell_error(None, value)
        self._answer_500()

    def refuse(self, error: BadRequest) -> None:
        self.server.worker.log.warning(
            "Invalid request from ip=%s: %s", self._base["REMOTE_ADDR"], error
        )
        self._send_refusal(error)
