"""A WSGI server, under gevent.pywsgi's names: WSGIServer(("", 8080), application).serve_forever().

HTTP/1.0 and 1.1, in one task for each connection. Needs the extra: pip install 'pycoro[wsgi]'.
Where a client asks for another protocol, a websocket say, environ["pycoro.upgrade"]() gives the
application the socket, and what has come on it already.

server      WSGIServer: limits, timeouts, logs      watchman    ends what takes too long
handler     WSGIHandler: requests, one by one       connection  its bytes, in and out
head, body  what a request says; what is refused    responder   what is sent, and how much
response    what a response may say                 log         logs; environ in reports
rfile       what comes, as a file, for upgrades
"""

try:
    import httptools as _httptools  # type: ignore[import-not-found,unused-ignore]  # noqa: F401
except ImportError as error:  # the extra is missing
    raise ImportError("pycoro.pywsgi needs httptools: pip install 'pycoro[wsgi]'") from error

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
