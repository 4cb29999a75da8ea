"""The command line: python -m pycoro.pywsgi module:application --bind :8080 --workers 4

The standard library is patched first, so that the application's own blocking calls let others run;
the application is imported in each worker, so that SIGHUP brings its new code. Where that fails,
the former workers go on; at the beginning it is the end, with the exit code 1.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any, TypeVar

from .. import monkey
from ..prefork import check_worker_timeout
from ..programs import is_module, printing
from ..workerprocess import Refused
from .server import WSGIServer

T = TypeVar("T")


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pycoro.pywsgi", description="Serves a WSGI application."
    )
    add = parser.add_argument
    add("application", help="module:name, or a module, whose `application` or `app` it is")
    add("-b", "--bind", default="127.0.0.1:8000", help="host:port, :port, or a path (%(default)s)")
    add("-w", "--workers", type=int, default=1, metavar="N", help="processes (%(default)s)")
    add("--factory", action="store_true", help="the name is of a function that makes it")
    add("--chdir", metavar="PATH", help="where modules are; default: here")
    add("--no-patch", action="store_true", help="leave the standard library as it is")
    add("--certfile", metavar="FILE", help="of the server's certificate, for TLS")
    add("--keyfile", metavar="FILE", help="of its key, where that is another one")
    add("--access-log", metavar="FILE", help='"-" for stdout; default: none')
    limits = parser.add_argument_group(
        "limits", "times are in seconds, sizes in bytes"
    ).add_argument
    limits("--max-connections", type=int, metavar="N", help="at once, in each worker")
    limits("--max-body", type=int, metavar="SIZE", help="of a request; default: no limit")
    limits("--backlog", type=int, metavar="N", help="connections that wait in the kernel")
    limits("--keepalive-timeout", type=float, metavar="TIME", help="without any request")
    limits("--head-timeout", type=float, metavar="TIME", help="for the head of a request")
    limits("--body-timeout", type=float, metavar="TIME", help="for each piece of its body")
    limits("--stop-timeout", type=float, metavar="TIME", help="for requests under way, at the end")
    limits(
        "--worker-timeout",
        type=float,
        metavar="TIME",
        help="for one of several workers to let other tasks run: else it is killed and replaced; "
        "default: no limit",
    )
    return parser


SETTINGS = (
    "max_body",
    "keepalive_timeout",
    "head_timeout",
    "body_timeout",
    "stop_timeout",
    "worker_timeout",
)


def find(name: str, is_factory: bool) -> Any:
    """The application. Errors: those of importing it; Refused where it is not there, or none."""
    module_name, _, path = name.partition(":")
    if not is_module(module_name):
        raise Refused(f"there is no module {module_name}")
    module = importlib.import_module(module_name)
    if path:
        try:
            found = reduce(getattr, path.split("."), module)
        except AttributeError as error:
            raise Refused(str(error)) from error
    else:
        found = getattr(module, "application", None) or getattr(module, "app", None)  # type: ignore[assignment]
    if is_factory and callable(found):
        found = found()
    if not callable(found):
        raise Refused(f"{name} is no WSGI application: {found!r} cannot be called")
    return found


def open_log(path: str | None) -> Any:
    if path is None:
        return None
    return sys.stdout if path == "-" else Path(path).open("a", buffering=1)


def main(arguments: list[str] | None = None) -> int:
    """Serves until SIGTERM or Ctrl-C. Gives the exit code."""
    parser = make_parser()
    with printing():
        args = parser.parse_args(arguments)
    if not args.no_patch:
        monkey.patch_all()
    sys.path.insert(0, str(Path(args.chdir or ".").resolve()))

    class Server(WSGIServer):
        def start(self) -> None:
            if not self.started:
                self.application = find(args.application, args.factory)
            self._try_to_listen(super().start)

        def _listen_for_workers(self) -> list[Any]:
            return self._try_to_listen(super()._listen_for_workers)

        def _try_to_listen(self, listen: Callable[[], T]) -> T:
            try:
                return listen()
            except (OSError, OverflowError) as error:  # the latter of a port above 65535
                raise Refused(f"cannot listen at {args.bind}: {error}") from error

    for name in SETTINGS:
        value = getattr(args, name)
        if value is not None:
            setattr(Server, name, value)
    if args.worker_timeout is not None and args.workers == 1:
        parser.error("--worker-timeout needs a supervisor, so --workers 2 or more")
    try:
        check_worker_timeout(args.worker_timeout)
        server = Server(
            args.bind,
            _not_yet,
            backlog=args.backlog,
            spawn="default" if args.max_connections is None else args.max_connections,
            log=open_log(args.access_log),
            workers=args.workers,
            certfile=args.certfile,
            keyfile=args.keyfile,
        )
    except (OSError, TypeError, ValueError) as error:
        parser.error(str(error))
    try:
        server.serve_forever()
    except Refused as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    except KeyboardInterrupt:
        return 130
    return 0


def _not_yet(environ: Any, start_response: Any) -> Any:
    """Before start()."""
    raise RuntimeError("the server has not been started")


if __name__ == "__main__":
    sys.exit(main())
