"""local: an object whose attributes each coroutine has its own of, as threading.local has them for
threads. gevent's module.

The local object holds the dicts of all coroutines; which one is seen is decided in C, at each
access. They go when a task ends, when any other coroutine's object goes, or when the local goes.
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


class _Origin:
    """How a local was made, and who has used it: a weak reference to each coroutine. `views` is
    the local's own."""

    __slots__ = ("__weakref__", "args", "homes", "kwargs", "views")

    def __init__(self, views: dict[int, Any], args: tuple[Any, ...], kwargs: Any) -> None:
        self.views = views
        self.args = args
        self.kwargs = kwargs
        self.homes: dict[int, _Home] = {}

    def make(self, coroutine: Coroutine) -> dict[str, Any]:
        """The attributes of the running coroutine, which has none yet."""
        mine: dict[str, Any] = {}
        if isinstance(coroutine, Task) and coroutine._value is PENDING:
            _forget_at_the_end(coroutine, self)
        self.homes[id(coroutine)] = _Home(coroutine, self)
        self.views[id(coroutine)] = mine
        return mine

    def drop(self, number: int) -> None:
        self.homes.pop(number, None)
        self.views.pop(number, None)


class _Home(ref[Coroutine]):
    """Tells of the coroutine's death."""

    __slots__ = ("number", "origin")

    def __new__(cls, coroutine: Coroutine, origin: _Origin) -> _Home:
        return super().__new__(cls, coroutine, _left)

    def __init__(self, coroutine: Coroutine, origin: _Origin) -> None:
        self.number = id(coroutine)
        self.origin = ref(origin)


def _left(home: Any) -> None:
    origin = home.origin()
    if origin is not None:
        origin.drop(home.number)


class _Forget(Observer):
    """The task has ended: nobody sees its attributes any more."""

    __slots__ = ()

    def __call__(self, source: Any) -> None:
        for one in source._notes.pop(self):
            origin = one()
            if origin is not None:
                origin.drop(id(source))


_FORGET = _Forget()


def _forget_at_the_end(task: Task, origin: _Origin) -> None:
    try:
        notes = task._notes
    except AttributeError:
        notes = task._notes = {}
    used = notes.get(_FORGET)
    if used is None:
        used = notes[_FORGET] = []
        task.observe(_FORGET)
    number = len(used)
    if number >= 32 and not number & (number - 1):  # now and then, those that are no more
        used[:] = [one for one in used if one() is not None]
    used.append(ref(origin))


def _begin(self: Any) -> dict[str, Any]:
    """The running coroutine uses it for the first time."""
    origin = _origin_of(self)
    coroutine = current()
    mine = origin.views.get(id(coroutine))  # another thread than C knew of, which has just begun
    if mine is None:
        mine = origin.make(coroutine)
        if type(self).__init__ is not object.__init__:
            try:
                type(self).__init__(self, *origin.args, **origin.kwargs)
            except BaseException:
                origin.drop(id(coroutine))
                raise
    return mine  # type: ignore[no-any-return]


class local(_native.local_base(_begin)):  # type: ignore[misc]  # noqa: N801  # everybody's name
    """Attributes of the running coroutine alone. A subclass's __init__ is called, with the
    arguments of the first call, in each coroutine that uses the object; what it has in __slots__ is
    shared. Errors: TypeError for arguments without an __init__ to take them."""

    __slots__ = ("__weakref__", "_local__origin")

    def __new__(cls, /, *args: Any, **kwargs: Any) -> Any:
        if (args or kwargs) and cls.__init__ is object.__init__:
            raise TypeError("arguments are not supported: there is no __init__ to take them")
        self = super().__new__(cls)
        origin = _Origin(_views_of(self), args, kwargs)
        _set_origin(self, origin)
        origin.make(current())
        return self

    def __copy__(self) -> Any:
        origin = _origin_of(self)
        attributes = dict(self.__dict__)
        twin = type(self)(*origin.args, **origin.kwargs)
        twin.__dict__.clear()
        twin.__dict__.update(attributes)
        return twin


# By the slots themselves: an attribute of the object is looked up in the running coroutine's view.
_views_of = local._local__views.__get__
_origin_of = local._local__origin.__get__
_set_origin = local._local__origin.__set__


def all_local_dicts_for_greenlet(greenlet: Coroutine) -> list[tuple[tuple[str, int], Any]]:
    """For reports: of each local that a task has used, its name and a number of it, and the
    attributes that the task sees. gevent's name."""
    origins = [one() for one in getattr(greenlet, "_notes", {}).get(_FORGET, ())]
    return [
        (("local", id(origin)), origin.views[id(greenlet)])
        for origin in origins
        if origin is not None and id(greenlet) in origin.views
    ]
