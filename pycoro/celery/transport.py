"""Taking messages from Redis, where Celery's own loop is told more than the one for coroutines is.

A worker that has taken all that it may asks for more when a task has ended. Here nothing tells it,
so it would wait for two seconds each time: that wait is broken off, as if its time were over. And
messages that a worker had which is lost come back once their time is over, by a timer there; here
nobody would see to that.

When the server goes, kombu gives the connection up, and then would give back by it what is not yet
acknowledged; of that attempt's AttributeError a worker dies. The server has all that.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

from kombu.transport import redis

from ..coroutine import current
from ..loop import get_loop
from ..time import sleep

_waiting: set[Any] = set()  # coroutines


class _Ended(BaseException):
    """A task has."""


def task_has_ended() -> None:
    """A task has ended, and has been acknowledged."""
    if _waiting:
        loop = get_loop()
        for waiter in _waiting:
            loop.break_off(waiter, _Ended())


def _wait(how: Callable[[Any], Any], timeout: Any) -> Any:
    here = current()
    _waiting.add(here)
    try:
        return how(timeout)
    except _Ended:
        raise TimeoutError from None
    finally:
        _waiting.discard(here)


def _sleep(seconds: float) -> None:
    """In kombu's transport, which sleeps where it has nothing else to wait for."""
    _wait(sleep, seconds)


class _Poll:
    """What waits for descriptors, on behalf of `owner`."""

    def __init__(self, poll: Any, owner: Any) -> None:
        self._poll = poll
        self._owner = owner

    def poll(self, timeout: float | None = None) -> Any:
        """kombu's. Errors: TimeoutError where a task has ended meanwhile."""
        channels = self._owner._channels
        if any(one.active_queues and not one.qos.can_consume() for one in channels):
            return _wait(self._poll.poll, timeout)
        return self._poll.poll(timeout)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._poll, name)


class _Poller(redis.MultiChannelPoller):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.poller: Any = _Poll(self.poller, self)
        self._next_look = 0.0  # at once: a worker that is started anew may look for its own

    def get(self, callback: Any, timeout: float | None = None) -> Any:
        if monotonic() >= self._next_look:
            self._restore()
        return super().get(callback, timeout)

    def _restore(self) -> None:
        """As often as kombu's timer does it."""
        for channel in self._channels:
            if channel.active_queues:
                options = channel.connection.client.transport_options
                seconds = options.get("unacked_restore_interval", 10)
                seconds *= options.get("unacked_restore_throttle", 10)
                self._next_look = monotonic() + seconds
                channel.qos.restore_visible(num=channel.unacked_restore_limit, interval=1)
                return  # all channels share what is unacknowledged


class _QoS(redis.QoS):  # type: ignore[misc]
    """What a channel has taken, and not acknowledged."""

    def restore_unacked(self, client: Any = None) -> None:
        if self.channel.connection.client is None:  # given up
            self._delivered.clear()
        else:
            super().restore_unacked(client)


def install() -> None:
    """For connections that are made from now on."""
    redis.Channel.QoS = _QoS
    redis.MultiChannelPoller = _Poller
    redis.sleep = _sleep
