"""BackdoorServer: a Python console inside a running program, for whoever connects. gevent's name.

A connection has a console of its own. What is printed there goes to the connection, also from tasks
that the console spawns: sys.stdout and its like are stand-ins as long as there is a console, and a
context variable tells whose turn it is. All else goes where it went before.

Nobody is asked for a password, and whoever connects can do whatever the process can: listen on a
loopback address, or on a Unix socket in a folder of your own.
"""

from __future__ import annotations

import builtins
import sys
from code import InteractiveConsole
from contextvars import ContextVar
from typing import Any

from .server import StreamServer

__all__ = ["BackdoorServer"]

_NAMES = ("stdin", "stdout", "stderr")
_here: ContextVar[_Stream | None] = ContextVar("pycoro.backdoor", default=None)


class _Stream:
    """A connection, as the console's stdin, stdout and stderr."""

    encoding = "utf-8"
    errors = "replace"

    def __init__(self, sock: Any) -> None:
        self._socket = sock
        self._lines = sock.makefile("r", encoding=self.encoding, errors=self.errors)
        self.closed = False

    def readline(self, size: int = -1) -> str:
        """A line as it was sent, but for telnet's line ends; "" at the end."""
        try:
            line: str = self._lines.readline(size)
        except OSError:
            return ""
        return line.replace("\r\n", "\n")

    def write(self, text: str) -> int:
        """At once: a console has no use for a buffer. Errors: OSError where nobody is there any
        more, which ends what the console is in the middle of."""
        try:
            self._socket.sendall(text.encode(self.encoding, self.errors))
        except OSError:
            self.closed = True
            raise
        return len(text)

    def flush(self) -> None:
        """Does nothing."""

    def isatty(self) -> bool:
        return False

    def close(self) -> None:
        """Does nothing: exit() closes stdin, and the server the connection."""

    def end(self) -> None:
        self.closed = True
        self._lines.close()


class _StandIn:
    """In the place of sys.stdout, say, which is `former`."""

    def __init__(self, former: Any) -> None:
        self.former = former

    def _target(self) -> Any:
        here = _here.get()
        return self.former if here is None or here.closed else here

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target(), name)

    def __iter__(self) -> Any:
        return iter(self._target().readline, "")


class _StandIns:
    """Puts them there for the first console, and takes them away after the last. The same with the
    prompts, which the first console to end would else take away from the others."""

    def __init__(self) -> None:
        self._consoles = 0
        self._prompts: list[str] = []

    def __enter__(self) -> None:
        self._consoles += 1
        if self._consoles > 1:
            return
        for name in _NAMES:
            setattr(sys, name, _StandIn(getattr(sys, name)))
        for name, prompt in (("ps1", ">>> "), ("ps2", "... ")):
            if not hasattr(sys, name):
                setattr(sys, name, prompt)
                self._prompts.append(name)

    def __exit__(self, *error: object) -> None:
        self._consoles -= 1
        if self._consoles:
            return
        for name in _NAMES:
            if isinstance(stand_in := getattr(sys, name), _StandIn):  # else somebody has put more
                setattr(sys, name, stand_in.former)
        while self._prompts:
            vars(sys).pop(self._prompts.pop(), None)


_stand_ins = _StandIns()


class _Console(InteractiveConsole):
    def __init__(self, names: dict[str, Any], stream: _Stream) -> None:
        super().__init__(names)
        self._stream = stream

    def raw_input(self, prompt: str = "") -> str:
        self._stream.write(prompt)
        line = self._stream.readline()
        if not line:
            raise EOFError
        return line.rstrip("\n")

    def write(self, data: str) -> None:
        self._stream.write(data)


class BackdoorServer(StreamServer):
    """Serves consoles. `locals`: what they begin with, a copy for each; `banner`: what they say
    first, by default what Python says. `ssl_args`: StreamServer's. exit() ends a console and its
    connection, not the program. Errors: as StreamServer."""

    def __init__(
        self,
        listener: Any,
        locals: dict[str, Any] | None = None,
        banner: str | None = None,
        **ssl_args: Any,
    ) -> None:
        super().__init__(listener, **ssl_args)
        self.locals = {"__doc__": None, "__name__": "__console__", **(locals or {})}
        self.banner = banner

    def handle(self, sock: Any, address: Any) -> None:
        """Talks to one who has connected."""
        stream = _Stream(sock)
        names = {**self.locals, "__builtins__": builtins, "builtins": builtins}
        token = _here.set(stream)
        try:
            with _stand_ins:
                _Console(names, stream).interact(self.banner, exitmsg="")
        except SystemExit:  # exit()
            pass
        except OSError:
            if not stream.closed:
                raise
        finally:
            _here.reset(token)
            stream.end()
