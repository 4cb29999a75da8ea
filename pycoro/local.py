"""local: an object whose attributes each coroutine has its own of, as threading.local has them for
threads. gevent's module.

The attributes that a coroutine sees are in a dict of its own, in its `_notes` under the number of
the local object. They go when a task ends, when any other coroutine's object goes, or when the
local object goes.
"""

from __future__ import annotations

from typing import Any
from weakref import ref

from . import _native
from .coroutine import Coroutine, current
from .ending import PENDING
from .links import Observer
from .task import Task

__all__ = ["local"]

_current = _native.current
_get = object.__getattribute__


class _Impl:
    """What all coroutines' views of a local have in common. Dies with the local."""

    __slots__ = ("__weakref__", "args", "homes", "key", "kwargs", "late")

    def __init__(self, key: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.key = key
        self.args = args
        self.kwargs = kwargs
        self.homes: dict[int, _Home] = {}  # the coroutines that have a dict of it
        self.late: dict[str, Any] | None = None

    def make(self, coroutine: Coroutine) -> dict[str, Any]:
        """The dict of the running coroutine, which has none yet."""
        if self.late is not None:
            return self.late
        self.homes[id(coroutine)] = _Home(coroutine, self)
        try:
            notes = coroutine._notes
        except AttributeError:
            notes = coroutine._notes = {}
        if isinstance(coroutine, Task) and coroutine._value is PENDING and _FORGET not in notes:
            notes[_FORGET] = True
            coroutine._links = [*(coroutine._links or ()), _FORGET]
        mine: dict[str, Any] = {}
        notes[self.key] = mine
        return mine

    def drop(self, coroutine: Coroutine) -> None:
        del self.homes[id(coroutine)]
        del coroutine._notes[self.key]

    def __del__(self) -> None:
        self.late = {}  # for what is finalized with the local: its number is another's soon
        for home in list(self.homes.values()):
            coroutine = home()
            if coroutine is not None:
                coroutine._notes.pop(self.key, None)


class _Home(ref[Coroutine]):
    """Takes itself out of `homes` when the coroutine goes."""

    __slots__ = ("impl", "number")

    def __new__(cls, coroutine: Coroutine, impl: _Impl) -> _Home:
        return super().__new__(cls, coroutine, _leave_home)

    def __init__(self, coroutine: Coroutine, impl: _Impl) -> None:
        self.number = id(coroutine)
        self.impl = ref(impl)


def _leave_home(home: Any) -> None:
    impl = home.impl()
    if impl is not None:
        impl.homes.pop(home.number, None)


class _Forget(Observer):
    """The task has ended: nobody sees its attributes any more."""

    __slots__ = ()

    def __call__(self, source: Any) -> None:
        notes = source._notes
        for key in [key for key in notes if type(key) is int]:
            del notes[key]


_FORGET = _Forget()


class local:  # noqa: N801  # its name everywhere
    """Attributes of the running coroutine alone. A subclass's __init__ is called, with the
    arguments of the first call, in each coroutine that uses the object; what it has in __slots__ is
    shared. Errors: TypeError for arguments without an __init__ to take them."""

    __slots__ = ("__weakref__", "_local__impl")

    def __new__(cls, /, *args: Any, **kwargs: Any) -> Any:
        if (args or kwargs) and cls.__init__ is object.__init__:
            raise TypeError("arguments are not supported: there is no __init__ to take them")
        self = object.__new__(cls)
        impl = _Impl(id(self), args, kwargs)
        object.__setattr__(self, "_local__impl", impl)
        impl.make(current())
        return self

    def __getattribute__(self, name: str) -> Any:
        try:
            mine = _current()._notes[id(self)]
        except (KeyError, AttributeError):
            mine = _begin(self)
        if name in mine and (type(self) is local or not _is_data(_find(type(self), name))):
            return mine[name]
        return mine if name == "__dict__" else _get(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        try:
            mine = _current()._notes[id(self)]
        except (KeyError, AttributeError):
            mine = _begin(self)
        if type(self) is local and name not in _RESERVED:
            mine[name] = value
        elif name == "__dict__":
            raise AttributeError(_READ_ONLY)
        elif _is_data(_find(type(self), name)):
            object.__setattr__(self, name, value)
        else:
            mine[name] = value

    def __delattr__(self, name: str) -> None:
        mine = self.__dict__
        if name == "__dict__":
            raise AttributeError(_READ_ONLY)
        if _is_data(_find(type(self), name)):
            object.__delattr__(self, name)
        elif name in mine:
            del mine[name]
        else:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __copy__(self) -> Any:
        impl: _Impl = _get(self, "_local__impl")
        attributes = dict(self.__dict__)
        twin = type(self)(*impl.args, **impl.kwargs)
        twin.__dict__.clear()
        twin.__dict__.update(attributes)
        return twin


_READ_ONLY = "the attribute '__dict__' of a local is read-only"
_RESERVED = {"__class__", "__dict__", "__weakref__", "_local__impl"}


def _begin(self: local) -> dict[str, Any]:
    """The running coroutine uses it for the first time."""
    impl: _Impl = _get(self, "_local__impl")
    coroutine = current()
    mine = impl.make(coroutine)
    if type(self).__init__ is not object.__init__:
        try:
            type(self).__init__(self, *impl.args, **impl.kwargs)
        except BaseException:
            impl.drop(coroutine)
            raise
    return mine


def _find(cls: type, name: str) -> Any:
    for base in cls.__mro__:
        if name in base.__dict__:
            return base.__dict__[name]
    return None


def _is_data(attribute: Any) -> bool:
    kind = type(attribute)
    return hasattr(kind, "__set__") or hasattr(kind, "__delete__")
