"""A WSGI server, under gevent.pywsgi's names: WSGIServer(("", 8080), application).serve_forever().

HTTP/1.0 and 1.1, in one task for each connection. Needs the extra: pip install 'pycoro[wsgi]'.

server:   WSGIServer: limits, timeouts, logs, the end      handler: WSGIHandler, a connection
head:     what a request's head says, and what is refused  body:    wsgi.input
response: what a response's head may say                   log:     logs, and environ in them
"""

from .body import Input
from .handler import WSGIHandler
from .head import BadRequest
from .log import Environ, LoggingLogAdapter, SecureEnviron, WSGISecureEnviron
from .response import FileWrapper
from .server import WSGIServer

__all__ = [
    "BadRequest",
    "Environ",
    "FileWrapper",
    "Input",
    "LoggingLogAdapter",
    "SecureEnviron",
    "WSGIHandler",
    "WSGISecureEnviron",
    "WSGIServer",
]
