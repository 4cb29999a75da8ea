"""What stateful tests of locks and of queues have in common: tasks by number, virtual time."""

from __future__ import annotations

from time import monotonic
from typing import Any, ClassVar

from hypothesis.stateful import RuleBasedStateMachine

import pycoro


class TaskMachine(RuleBasedStateMachine):
    """`log` is what the tasks write in. In the end all are killed, and leave nothing behind."""

    turns_to_end: ClassVar[int] = 2  # that each task may need for its clean-up

    def __init__(self) -> None:
        super().__init__()
        self.loop = pycoro.get_loop()
        self.now = 0.0
        self.loop.clock = lambda: self.now
        self.tasks: list[pycoro.Task] = []
        self.log: list[Any] = []

    def spawn_numbered(self, body: Any, *args: Any) -> int:
        """A task that calls body(number, *args)."""
        number = len(self.tasks)
        self.tasks.append(pycoro.spawn(body, number, *args))
        return number

    def let_all_run(self, turns: int = 2) -> None:
        for _ in range(turns * (len(self.tasks) + 1)):
            pycoro.sleep(0)

    def teardown(self) -> None:
        try:
            pycoro.killall(self.tasks, block=False)
            self.let_all_run(self.turns_to_end)
            assert all(task.ready() for task in self.tasks)
            assert not self.loop.errors
            assert len(self.loop._timers) == 0
        finally:
            self.loop.clock = monotonic
