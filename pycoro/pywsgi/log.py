"""Logs that a server writes to, and environments that keep secrets when they are printed."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any


class NoLog:
    """Where nothing is to be logged."""

    def write(self, text: str) -> None:
        pass

    def writelines(self, lines: Iterable[str]) -> None:
        pass

    def flush(self) -> None:
        pass


class LoggingLogAdapter:
    """Writes to a logging.Logger, at one level, INFO by default; other attributes are its."""

    __slots__ = ("_level", "_logger")

    def __init__(self, logger: Any, level: int = 20) -> None:
        object.__setattr__(self, "_logger", logger)
        object.__setattr__(self, "_level", level)

    def write(self, msg: str) -> None:
        """A line, or several."""
        self._logger.log(self._level, msg.removesuffix("\n"))

    def flush(self) -> None:
        """The logger's handlers do that."""

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._logger, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in LoggingLogAdapter.__slots__:
            object.__setattr__(self, name, value)
        else:
            setattr(self._logger, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._logger, name)


def choose_log(log: Any, level: int) -> Any:
    """What has write(): "default" is stderr, None is nowhere, a Logger gets an adapter."""
    if log == "default":
        return sys.stderr
    if log is None:
        return NoLog()
    if not hasattr(log, "write") and hasattr(log, "log"):
        return LoggingLogAdapter(log, level)
    return log


class Environ(dict[str, Any]):
    """A dict that copies to its own class: for WSGIServer.environ_class."""

    __slots__ = ()

    def copy(self) -> Environ:
        return type(self)(self)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return dict, (), None, None, iter(self.items())


class SecureEnviron(Environ):
    """One whose repr() shows no values but those of `whitelist_keys`, nor, with
    print_masked_keys=False, other keys; all with secure_repr=False. `default_` attributes of the
    class are what new ones have."""

    default_secure_repr = True
    default_whitelist_keys: tuple[str, ...] = ()
    default_print_masked_keys = True
    __slots__ = ("print_masked_keys", "secure_repr", "whitelist_keys")

    def __getattr__(self, name: str) -> Any:
        if name in SecureEnviron.__slots__:
            return getattr(type(self), f"default_{name}")
        raise AttributeError(name)

    def __repr__(self) -> str:
        if not self.secure_repr:
            return dict.__repr__(self)
        shown = self.whitelist_keys
        if not shown:
            return f"<pywsgi.{type(self).__name__} dict (keys: {len(self)}) at {id(self)}>"
        if self.print_masked_keys:
            return repr({key: self[key] if key in shown else "<MASKED>" for key in self})
        safe = {key: self[key] for key in self if key in shown}
        if len(safe) == len(self):
            return repr(safe)
        return f"{repr(safe)[:-1]}, (hidden keys: {len(self) - len(safe)})}}"

    __str__ = __repr__


class WSGISecureEnviron(SecureEnviron):
    """How environments are told of in error reports: who asked whom."""

    default_whitelist_keys = ("REMOTE_ADDR", "REMOTE_PORT", "HTTP_HOST")
    default_print_masked_keys = False
