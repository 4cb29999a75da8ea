"""Groups of tasks, and pools, which are groups of limited size. Names and behaviour are gevent's.

A group knows its tasks from add() to their end. Each is told of by rawlink() in the loop that the
task was added in, so a pool may be shared by the loops of several threads: all of them together
have `size` tasks at most. Killing is for a thread's own tasks alone, as everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from queue import Full
from typing import Any
from weakref import ref

from .checks import check_timeout, make_exception
from .coroutine import Coroutine, current
from .errors import CoroutineExit
from .links import Observer
from .loop import get_loop
from .mapping import MappingMixin
from .semaphore import Semaphore
from .task import ExceptionLike, Task
from .tasks import joinall, kill, raise_error_of
from .waiting import WaitQueue


class PoolFull(Full):
    """add() or start() found no room in the pool, or not in time."""


class _Leave(Observer):
    """Tells a group, which has this, of the end of a member."""

    __slots__ = ("_group",)

    def __init__(self, group: Group) -> None:
        self._group = ref(group)

    def __call__(self, task: Any) -> None:
        group = self._group()
        if group is not None:
            group._discard(task)


class Group(MappingMixin):
    """Tasks that have not ended, in the order of their coming: len(), iteration, `in`. False where
    there is none.

    tasks: to begin with. greenlet_class: what spawn() makes, settable.
    """

    greenlet_class: type[Task] = Task
    _room: Semaphore | None = None  # the pool's

    def __init__(self, tasks: Iterable[Any] = ()) -> None:
        # In order, and they are killed in it: who has waited longest for something is found there
        # at once, who came last only after all others.
        self.greenlets: dict[Any, None] = {}
        self.dying: set[Any] = set()  # those that have been told to end
        self._emptied = WaitQueue(self)
        self._link = _Leave(self)
        for task in tasks:
            self.add(task)

    def __len__(self) -> int:
        return len(self.greenlets)

    def __contains__(self, task: object) -> bool:
        return task in self.greenlets

    def __iter__(self) -> Iterator[Any]:
        return iter(self.greenlets.copy())  # they come and go

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self.greenlets)} {id(self):#x}>"

    # ---- members ----

    def add(self, greenlet: Any) -> None:
        """A task that may have been started; it leaves at its end. Any coroutine will do, but one
        that is no task has to be discarded. Nothing happens where it is a member. Errors:
        TypeError for what is none."""
        if greenlet not in self.greenlets:
            self._enter(greenlet)

    def _enter(self, greenlet: Any) -> None:
        if isinstance(greenlet, Task) or hasattr(greenlet, "rawlink"):
            greenlet.rawlink(self._link)
        elif not isinstance(greenlet, Coroutine):
            raise TypeError(f"a task was expected, not {type(greenlet).__name__}")
        self.greenlets[greenlet] = None

    def _discard(self, greenlet: Any) -> None:
        """It has ended."""
        greenlets = self.greenlets
        try:
            del greenlets[greenlet]
        except KeyError:
            return
        if self.dying:
            self.dying.discard(greenlet)
        if self._room is not None:
            self._room.release()
        if not greenlets:
            self._emptied.wake_all()

    def discard(self, greenlet: Any) -> None:
        """It is no member any more; nothing happens where it was none."""
        self._discard(greenlet)
        if hasattr(greenlet, "unlink"):
            greenlet.unlink(self._link)

    def start(self, greenlet: Any) -> None:
        """add() of a task that has not been started, and its start."""
        self.add(greenlet)
        greenlet.start()

    def spawn(self, *args: Any, **kwargs: Any) -> Any:
        """Makes a task, greenlet_class(*args, **kwargs), adds it and starts it."""
        greenlet = self.greenlet_class(*args, **kwargs)
        self.start(greenlet)
        return greenlet

    # ---- room ----

    def full(self) -> bool:
        """False: there always is room."""
        return False

    def wait_available(self, timeout: float | None = None) -> Any:
        """Does nothing: there always is room."""
        return None

    # ---- all of them ----

    def join(self, timeout: float | None = None, raise_error: bool = False) -> bool:
        """Waits until there is no member, `timeout` seconds at most. Has there been such a moment?
        With raise_error, an error of those that are members now is raised once they have ended.
        Errors: TypeError, ValueError for a timeout that is no number."""
        check_timeout(timeout)
        members = list(self.greenlets) if raise_error else ()
        empty = not self.greenlets or self._emptied.wait_unless(self._is_empty, timeout)
        failed = [one for one in members if getattr(one, "exception", None) is not None][:1]
        if failed:
            del members  # the error is going to hold this frame
            raise_error_of(failed.pop())
        return empty

    def _is_empty(self) -> bool:
        return not self.greenlets

    def kill(
        self,
        exception: ExceptionLike = CoroutineExit,
        block: bool = True,
        timeout: float | None = None,
    ) -> None:
        """Kills all members, once each, and with block waits for their end, `timeout` seconds at
        most; who is added meanwhile is killed as well. A member that calls this gets the exception
        here, once the others have been told. Errors: InvalidThreadUseError where one is another
        thread's, and none has been told then."""
        check_timeout(timeout)
        here = current()
        clock = get_loop().clock
        deadline = None if timeout is None else clock() + timeout
        while True:
            self._kill_all(exception, block, here)
            tasks = [
                member
                for member in self.greenlets
                if isinstance(member, Task) and member is not here
            ]
            left = None if deadline is None else max(0.0, deadline - clock())
            if not block or not tasks or left == 0.0:
                return
            joinall(tasks, left)
            for task in tasks:
                if task.ready():  # added once it had ended, maybe
                    self._discard(task)

    def _kill_all(self, exception: ExceptionLike, block: bool, here: Coroutine) -> None:
        told = [member for member in self.greenlets if member not in self.dying]
        for member in told:
            if isinstance(member, Task):
                member._check_thread()  # before any has been told
        self.dying.update(told)
        for member in told:
            if member is not here:
                kill(member, exception)
        if here in told:
            if block:
                raise make_exception(*(exception if isinstance(exception, tuple) else (exception,)))
            kill(here, exception)

    def killone(
        self,
        greenlet: Any,
        exception: ExceptionLike = CoroutineExit,
        block: bool = True,
        timeout: float | None = None,
    ) -> None:
        """Kills this one, unless it is no member or has been told already; waits as kill() does."""
        if greenlet in self.greenlets and greenlet not in self.dying:
            self.dying.add(greenlet)
            if block and isinstance(greenlet, Task):
                greenlet.kill(exception, timeout=timeout)
            else:
                kill(greenlet, exception)

    # ---- for MappingMixin ----

    def _is_member(self) -> bool:
        return current() in self.greenlets

    def _may_block(self) -> bool:
        return self.full()

    def _call_back(self, callback: Callable[..., Any], result: Any) -> None:
        Task.spawn(callback, result)


class Pool(Group):
    """A group of `size` members at most; spawn(), start() and add() wait for room.

    size: None for no limit; 0 for a pool that never has room. Errors: TypeError, ValueError for
    what is no size.
    """

    def __init__(self, size: int | None = None, greenlet_class: type[Task] | None = None) -> None:
        if size is not None and not isinstance(size, int):
            raise TypeError(f"size must be an int or None, not {type(size).__name__}")
        if size is not None and size < 0:
            raise ValueError(f"size must not be negative, but it is {size}")
        super().__init__()
        self.size = size
        self._room = None if size is None else Semaphore(size)
        if greenlet_class is not None:
            self.greenlet_class = greenlet_class

    def full(self) -> bool:
        """Would add() wait?"""
        return self.free_count() <= 0

    def free_count(self) -> int:
        """How many more can be added; 1 where there is no limit."""
        return 1 if self.size is None else max(0, self.size - len(self.greenlets))

    def wait_available(self, timeout: float | None = None) -> int:
        """Waits until there is room, `timeout` seconds at most. How many can be added now: 0 where
        the time was over first; 1 where there is no limit."""
        return 1 if self._room is None else self._room.wait(timeout)

    def add(self, greenlet: Any, blocking: bool = True, timeout: float | None = None) -> None:
        """As Group.add(), once there is room. Better not a task that has been started: it may end
        before it is a member. Errors: PoolFull where there is no room within `timeout` seconds, or
        at once with blocking=False; TypeError for what is no task."""
        if greenlet in self.greenlets:
            return
        room = self._room
        if room is None:
            self._enter(greenlet)
            return
        if not room.acquire(blocking, timeout):
            raise PoolFull(f"all {self.size} places of the pool are taken")
        if greenlet in self.greenlets:  # somebody else has added it meanwhile
            room.release()
            return
        try:
            self._enter(greenlet)
        except BaseException:
            room.release()
            raise

    def start(self, greenlet: Any, blocking: bool = True, timeout: float | None = None) -> None:
        """add() of a task that has not been started, and its start. Errors: as add()."""
        self.add(greenlet, blocking, timeout)
        greenlet.start()
