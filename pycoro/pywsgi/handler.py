"""A connection's requests, one after the other, and what the application answers to each.

A response is sent in one piece where the application gives a list, and piece by piece as it is
yielded otherwise: with the Content-Length that the application says, or in chunks, or to the end of
the connection for HTTP/1.0. Attributes and methods have gevent's names, for subclasses.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import cached_property
from io import BufferedReader
from time import time
from typing import Any

from ..coroutine import current
from ..errors import CoroutineExit
from .body import EMPTY, MOST_DISCARDED, Chunked, Input, Sized
from .head import BadRequest, Head
from .log import NoLog
from .responder import Responder
from .response import FileWrapper
from .rfile import Incoming

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_ERROR_PAGE = [("Content-Type", "text/plain; charset=utf-8")]

StartResponse = Callable[..., Callable[[bytes], None]]
Application = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]


class WSGIHandler(Responder):
    """handle() serves one connection. Made by the server, for each."""

    def __init__(self, sock: Any, address: Any, server: Any) -> None:
        self.socket = sock
        self.client_address = address
        self.server = server
        self.state = 0
        self.end = float("inf")
        self._buffer = b""
        self._expired = False
        self._served = 0
        self._coroutine = current()
        self._head = Head()
        self._logs = not isinstance(server.log, NoLog)
        self._base = self._make_base()
        self.environ: Any = None
        self.application: Any = None
        self.result: Any = None
        self.time_start = self.time_finish = 0.0
        self.close_connection = True
        self._forget_request()

    def _make_base(self) -> Any:
        """What of environ is the same for all requests of the connection."""
        base = self.server.get_environ()
        address = self.client_address
        if isinstance(address, tuple):
            base["REMOTE_ADDR"] = str(address[0])
            base["REMOTE_PORT"] = str(address[1])
        else:
            base["REMOTE_ADDR"] = ""
        return base

    # ---- what the head of the request says ----

    @property
    def command(self) -> str:
        """The method."""
        return self._head.method

    @property
    def path(self) -> str:
        """As it was sent, with the query."""
        return self._head.target

    @property
    def request_version(self) -> str:
        """HTTP/1.1 or HTTP/1.0"""
        return self._head.version

    @property
    def requestline(self) -> str:
        """As it was sent."""
        return self._head.line.decode("latin-1")

    # ---- the connection ----

    def handle(self) -> None:
        """Serves requests until one of both sides has enough."""
        connections = self.server.watchman.connections
        connections.add(self)
        try:
            while self.handle_one_request():
                pass
        finally:
            connections.discard(self)
            self._head = Head()  # its parser and it know each other
            self.environ = None

    def handle_one_request(self) -> bool:
        """False: it was the last one."""
        if self._served:
            self._forget_request()
        server = self.server
        head = self._head
        head.line = b""
        try:
            raw = self._read_head()
            if raw is None:
                return False
            self.time_start = time()
            head.parse(raw, server.max_headers)
            most = server.max_body
            if most is not None and head.length > most:
                raise BadRequest("413 Content Too Large", f"a body of {head.length} bytes")
            self.close_connection = head.close
            self.environ = self.get_environ()
        except BadRequest as error:
            self.refuse(error)
            return False
        self._served += 1
        self.application = server.application
        self.handle_one_response()
        self.environ = None
        if self.close_connection or self._taken:
            if self._buffer or not self.wsgi_input.discard(0):
                self._linger()
            return False
        return True

    def refuse(self, error: BadRequest) -> None:
        """Answers a request that is none, and closes the connection."""
        self.log_error("Invalid request (from %s): %s", self.client_address, error)
        self._send_refusal(error)

    def _send_refusal(self, error: BadRequest) -> None:
        self.time_start = self.time_start or time()
        self.close_connection = True
        try:
            self._send_page(error.status, str(error))
            self.time_finish = time()
            if self._logs:
                self.log_request()
            self._linger()
        except OSError:
            pass

    def _send_page(self, status: str, text: str) -> None:
        """In place of a response."""
        body = f"{status}\n".encode() if status[0] == "5" else f"{status}: {text}\n".encode()
        self._special = {}
        self.start_response(status, _ERROR_PAGE, (None, None, None))
        self._send_whole(body)

    def get_environ(self) -> Any:
        """For this request. Errors: BadRequest."""
        head = self._head
        path, query = head.split_target()
        environ = self._base.copy()
        environ.update(head.headers)
        environ["REQUEST_METHOD"] = head.method
        environ["PATH_INFO"] = path
        environ["QUERY_STRING"] = query
        environ["SERVER_PROTOCOL"] = head.version
        environ["REQUEST_URI"] = head.target
        if head.length or head.chunked:
            self.wsgi_input = self._make_input()
        environ["wsgi.input"] = self.wsgi_input
        if head.upgrade:
            environ["pycoro.upgrade"] = self.take_over
        return environ

    def _make_input(self) -> Input:
        head = self._head
        proceed = self._send_continue if head.expects and not self._buffer else None
        if head.chunked:
            return Input(Chunked(self._take, self._take_line, self.server.max_body), proceed)
        return Input(Sized(self._take, head.length), proceed)

    def _send_continue(self) -> None:
        if not self.headers_sent:
            self.socket.sendall(_CONTINUE)

    @cached_property
    def rfile(self) -> BufferedReader:
        """What the client sends, as a file. It reads ahead: there is no request after this one.
        For subclasses like gevent-websocket's; an application takes environ["pycoro.upgrade"]."""
        self.close_connection = True
        return BufferedReader(Incoming(self))

    def take_over(self) -> tuple[Any, bytes]:
        """environ["pycoro.upgrade"], where the client asks for another protocol: gives the socket,
        and what has come already. From now on the connection is the application's, the answer
        included, until it returns."""
        self._taken = True
        data, self._buffer = self._buffer, b""
        return self.socket, data

    # ---- the application ----

    def handle_one_response(self) -> None:
        """Has the application called, and copes with whatever it does."""
        try:
            self.run_application()
        except CoroutineExit:
            self.close_connection = True
            raise
        except BadRequest as error:  # of reading the body
            self._end_badly()
            if not self.headers_sent and not self._taken:
                self.refuse(error)
                return
        except BaseException as error:
            if isinstance(error, ConnectionError | TimeoutError) and (self._taken or self._gone()):
                self._end_badly()
            else:
                self.handle_error(*sys.exc_info())
                del error
        else:
            if not self.close_connection and self.wsgi_input is not EMPTY:
                self._discard()
        self.time_finish = time()
        if self._logs:
            self.log_request()

    def _gone(self) -> bool:
        """Is it the client that the application's error is about?"""
        return self.headers_sent or self.wsgi_input._broken is not None

    def _discard(self) -> None:
        try:
            if not self.wsgi_input.discard(MOST_DISCARDED):
                self.close_connection = True
        except OSError:
            self.close_connection = True

    def run_application(self) -> None:
        """Errors: the application's; OSError."""
        result = self.result = self.application(self.environ, self.start_response)
        try:
            self.process_result()
        finally:
            self.result = None
            if hasattr(result, "close"):
                result.close()

    def process_result(self) -> None:
        """Sends what the application has returned. Errors: as run_application()."""
        result = self.result
        if self._taken:
            for _ in result:  # it may work while it is iterated
                pass
            return
        kind = type(result)
        if (kind is list or kind is tuple) and not self.headers_sent:
            body = result[0] if len(result) == 1 else b"".join(result)
            self._send_whole(body)
            return
        if kind is FileWrapper and not self.headers_sent and self._send_wrapped(result):
            return
        for data in result:
            if data:
                self.write(data)
        self._end_body()

    def _end_body(self) -> None:
        """All of the pieces have been sent."""
        if self._taken:
            return
        if not self.headers_sent:
            self._send_whole(b"")
        elif self._chunks:
            self._sendall(b"0\r\n\r\n")
        elif self._left:
            self._fall_short()

    # ---- errors and logs ----

    def handle_error(self, kind: Any, value: Any, traceback: Any) -> None:
        """An error of the application's: reported, and 500 where nothing has been sent yet."""
        context = self.server.secure_environ_class(self.environ or {})
        self.server.loop.tell_error(context, value)
        self._answer_500()

    def _answer_500(self) -> None:
        self._end_badly()
        if not self.headers_sent and not self._taken:
            try:
                self._send_page("500 Internal Server Error", "")
            except OSError:
                pass

    def log_error(self, msg: str, *args: Any) -> None:
        """A line of the error log: msg % args."""
        try:
            self.server.error_log.write(f"{self.client_address}: {msg % args if args else msg}\n")
        except Exception as error:
            self.server.loop.tell_error(self, error)

    def log_request(self) -> None:
        """A line of the access log."""
        self.server.log.write(self.format_request() + "\n")

    def format_request(self) -> str:
        """As gevent's: address, time, request, status, bytes sent, seconds."""
        address = self.client_address
        host = address[0] if isinstance(address, tuple) else address
        now = datetime.now().replace(microsecond=0)
        return (
            f'{host or "-"} - - [{now}] "{_printable(self.requestline)}" '
            f"{(self.status or '000')[:3]} {self.response_length or '-'} "
            f"{self.time_finish - self.time_start:.6f}"
        )


def _printable(text: str) -> str:
    """What cannot break the log's lines, nor leave its quotes."""
    if text.isprintable() and '"' not in text:
        return text
    return text.encode("unicode_escape").decode("ascii").replace('"', "\\x22")
