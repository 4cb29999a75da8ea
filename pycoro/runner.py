"""run(): a main program on a loop of which nothing is left afterwards.

Tasks that still live when it ends are killed and waited for, with bounded patience; timers are
dropped, the loop gives back its descriptors, and what Ctrl-C does is as before. So a program, or a
test, can be run as often as one likes.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any, TypeVar

from . import _native
from .checks import check_timeout
from .coroutine import Coroutine, current
from .errors import CoroutineExit
from .loop import Loop, get_loop
from .reports import say
from .sleeping import sleep
from .task import Task
from .tasks import joinall, kill
from .threads import Thread
from .wakeup import defer_interrupt, is_main_thread

T = TypeVar("T")

_under_way: set[Thread] = set()


def run(main: Callable[..., T], /, *args: Any, grace: float = 5.0) -> T:
    """main(*args), called here and now, with the thread's loop for what it spawns; gives what that
    gives, or raises what that raises. (Keyword arguments: by functools.partial.)

    When it has ended, all tasks of the thread are killed: CoroutineExit is raised in them. Those
    that have not ended `grace` seconds later are told of on stderr, and never go on. Ctrl-C raises
    KeyboardInterrupt in main(), and a second time it ends the patience. Errors: RuntimeError in a
    task or callback, and within another run(); TypeError, ValueError for a bad `grace`.
    """
    check_timeout(grace)
    if not callable(main):
        raise TypeError(f"main must be callable, not {type(main).__name__}")
    here = current()
    thread = here._thread
    if here is not thread.main:
        raise RuntimeError("run() is for a thread's main program: in a task, just call main()")
    if thread in _under_way:
        raise RuntimeError("run() is under way in this thread already: just call main()")
    former = signal.getsignal(signal.SIGINT) if is_main_thread() else None
    _under_way.add(thread)
    try:
        loop = get_loop()
        try:
            return main(*args)
        finally:
            try:
                if not loop.closed:
                    _end_tasks(loop, grace)
            finally:
                _end_loop(loop)
    finally:
        _under_way.discard(thread)
        if former is signal.default_int_handler:
            signal.signal(signal.SIGINT, former)


def _end_tasks(loop: Loop, grace: float) -> None:
    """Kills them, and those that they spawn meanwhile, until there are none."""
    deadline = loop.clock() + grace
    told: set[Coroutine] = set()
    error: BaseException | None = None
    while living := _living(loop):
        left = deadline - loop.clock()
        if left <= 0:
            say(
                f"pycoro.run(): killed {grace} seconds ago, and not ended yet; they never go on:\n"
                + "".join(f"  {coroutine!r}\n" for coroutine in living)
            )
            break
        try:
            for coroutine in living:
                if coroutine not in told:
                    told.add(coroutine)
                    kill(coroutine)
            sleep()
            _wait_a_while(living, left)
        except KeyboardInterrupt:
            raise
        except BaseException as another:  # SystemExit of a task that ends, say
            error = error or another
    if error is not None:
        raise error


def _wait_a_while(living: list[Coroutine], left: float) -> None:
    """For the end of all, or of some where they are no tasks: nobody tells of their end."""
    tasks = [one for one in living if isinstance(one, Task)]
    if len(tasks) == len(living):
        joinall(tasks, left)
    elif any(not one.dead for one in living):
        sleep(min(left, 0.005))


def _living(loop: Loop) -> list[Coroutine]:
    """The loop's coroutines that have not ended: started, waiting for their turn, or for a time."""
    found: dict[Coroutine, None] = dict.fromkeys(_native.thread_suspended())
    found.update((entry, None) for entry in loop.ready if isinstance(entry, Coroutine))
    for timer in loop._timers:
        found.update((one, None) for one in timer.args if isinstance(one, Task))
    return [one for one in found if one._parent is loop and not one.dead]


@defer_interrupt
def _end_loop(loop: Loop) -> None:
    """Nothing of it goes on."""
    for coroutine in _living(loop):
        if coroutine._entry is not None:
            kill(coroutine)
            continue
        _native.abandon(coroutine)
        if isinstance(coroutine, Task):
            coroutine.fail(CoroutineExit("its loop has ended"))
    if not loop.closed:
        loop.destroy()
