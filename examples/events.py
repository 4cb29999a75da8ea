"""An event queue with a handler for each kind of event: clicks and keys of a simulated window.

Whoever notices an event puts it into the queue. The queue's own callback in the loop takes one
after the other and gives each to the handler for its kind, which runs to its end before the next
event's. A handler that has to wait spawns a task: "save" does, and the window stays alive
meanwhile.

    python examples/events.py
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import pycoro


@dataclass
class Event:
    """What happened: `kind` is "click" or "key"; `detail`: where, or which key."""

    kind: str
    detail: str = ""


@dataclass
class EventQueue:
    """Events in their order, and a handler for each kind."""

    handlers: dict[str, Callable[[Event], None]] = field(default_factory=dict)
    events: deque[Event] = field(default_factory=deque)

    def on(self, kind: str, handler: Callable[[Event], None]) -> None:
        self.handlers[kind] = handler

    def post(self, event: Event) -> None:
        self.events.append(event)
        pycoro.get_loop().call_soon(self.dispatch)

    def dispatch(self) -> None:
        event = self.events.popleft()
        handler = self.handlers.get(event.kind)
        if handler is None:
            print(f"nobody handles {event.kind}")
        else:
            handler(event)


class Window:
    """A text field and a button that saves it."""

    def __init__(self, queue: EventQueue) -> None:
        self.queue = queue
        self.text = ""
        self.saving: list[pycoro.Task] = []
        queue.on("click", self.on_click)
        queue.on("key", self.on_key)

    def on_key(self, event: Event) -> None:
        self.text += event.detail
        print(f"key {event.detail!r}: the text is {self.text!r}")

    def on_click(self, event: Event) -> None:
        print(f"click on {event.detail}")
        if event.detail == "save":
            self.saving.append(pycoro.spawn(self.save, self.text))

    def save(self, text: str) -> None:
        print(f"saving {text!r}")
        pycoro.sleep(0.3)  # a slow disk
        print(f"saved {text!r}")


def user(queue: EventQueue) -> None:
    """Types, saves, and goes on typing while it is being saved."""
    for event in (
        Event("key", "h"),
        Event("key", "i"),
        Event("click", "save"),
        Event("key", "!"),
        Event("scroll", "down"),
        Event("click", "field"),
    ):
        queue.post(event)
        pycoro.sleep(0.001)


def main() -> None:
    queue = EventQueue()
    window = Window(queue)
    pycoro.spawn(user, queue).join()
    pycoro.joinall(window.saving)
    print(f"the window closes with {window.text!r}")


if __name__ == "__main__":
    main()
