"""Random programs of scopes, groups, shields, deadlines, Timeouts and kills, against a model.

A program is a tree of blocks, run by a task in virtual time while a timer here and there cancels,
kills, moves a deadline or a shield. The model does not run anything: it works out from the times of
all these what each wait ends by. No two times are the same, for each has a binary digit of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import Any

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from pycoro import CoroutineExit, Task, Timeout, get_loop, sleep
from pycoro.deadlines import fail_after, move_on_after
from pycoro.errors import Cancelled
from pycoro.nursery import TaskGroup
from pycoro.testing import no_tasks_left, virtual_time

MOST = 40  # times in a program: so many binary digits are exact


# ---- programs ----


@dataclass(eq=False)
class Op:
    """`kind`, and what that needs. `number`: of a scope, group, Timeout, task or error."""

    kind: str
    number: int = 0
    seconds: float | None = None
    shield: bool = False
    levels: int = 0
    blocks: list[list[Op]] = field(default_factory=list)

    def __repr__(self) -> str:
        more = "".join(
            f", {name}={value!r}"
            for name, value in vars(self).items()
            if name not in ("kind", "blocks") and value
        )
        return f"{self.kind}({self.blocks}{more})"


# What a block consists of, the likelier the more often: how many blocks are in it.
KINDS = {"sleep": 0, "scope": 1, "fail": 1, "group": 1, "timeout": 1, "finally_": 2, "catch": 1}
KINDS |= {"swallow": 1, "raise_": 0, "spawn": 1}
USUAL = ["sleep"] * 5 + ["scope"] * 5 + ["group"] * 4 + ["finally_"] * 3 + ["timeout"] * 2
USUAL += ["fail", "fail", "swallow", "swallow", "catch", "raise_"]


@dataclass
class Act:
    """What a timer does: cancel, kill, deadline, shield."""

    kind: str
    time: float
    target: int
    value: Any = None


@st.composite
def programs(draw: st.DrawFn) -> Program:
    room = 20  # for operations

    def block(depth: int, in_group: bool) -> list[Op]:
        nonlocal room
        ops = []
        kinds = USUAL + ["spawn"] * 8 if in_group else USUAL
        for _ in range(draw(st.integers(1, 3))):
            kind = draw(st.sampled_from(kinds)) if room > 0 and depth < 7 else "sleep"
            room -= 1
            op = Op(kind)
            if kind in ("sleep", "fail", "timeout") or (
                kind in ("scope", "group") and draw(st.booleans())
            ):
                op.seconds = draw(st.integers(1, 6))
            op.shield = kind in ("scope", "fail") and draw(st.booleans())
            op.levels = draw(st.integers(0, 2)) if kind == "spawn" else 0
            for _ in range(KINDS[kind]):
                op.blocks.append(block(depth + 1, in_group or kind in ("group", "spawn")))
            if kind == "spawn":
                if draw(st.booleans()):
                    op.blocks[0] = [Op("finally_", blocks=[op.blocks[0], clean_up()])]
                # What a task does first has a time of its own, too.
                op.blocks[0].insert(0, Op("sleep", seconds=draw(st.integers(1, 3))))
            ops.append(op)
        return ops

    def clean_up() -> list[Op]:
        """That takes its time, whatever happens."""
        wait = Op("sleep", seconds=draw(st.integers(1, 6)))
        end = [Op("raise_")] if draw(st.booleans()) else []
        return [Op("scope", shield=True, blocks=[[wait]]), *end]

    first = block(0, False)
    program = Program(first)
    for _ in range(draw(st.integers(0, 8))):
        kind = draw(st.sampled_from(["cancel", "kill", "kill", "deadline", "shield"]))
        among = program.numbers.get("spawn" if kind == "kill" else "scope", 0)
        if among:
            act = Act(kind, draw(st.integers(0, 9)), draw(st.integers(0, among - 1)))
            act.value = draw(st.integers(0, 9)) if kind == "deadline" else draw(st.booleans())
            program.add(act)
    return program


class Program:
    """Gives out numbers, and makes all times different."""

    def __init__(self, block: list[Op]) -> None:
        self.digit = 1.0
        self.left = MOST
        self.numbers: dict[str, int] = {}
        self.acts: list[Act] = []
        self.number(Op("spawn"))  # the first task
        self.block = block
        self.prepare(block)

    def add(self, act: Act) -> None:
        if self.left < 2:
            return
        act.time = self.unique(act.time)
        if act.kind == "deadline":
            act.value = self.unique(act.value)
        self.acts.append(act)

    def unique(self, seconds: float) -> float:
        self.digit /= 2
        self.left -= 1
        return seconds + self.digit

    def number(self, op: Op) -> None:
        kind = "scope" if op.kind in ("fail", "group") else op.kind
        op.number = self.numbers.get(kind, 0)
        self.numbers[kind] = op.number + 1

    def prepare(self, block: list[Op]) -> None:
        for op in list(block):
            if op.seconds is not None:
                if not self.left:
                    block.remove(op)
                    continue
                op.seconds = self.unique(op.seconds)
            self.number(op)
            for inner in op.blocks:
                self.prepare(inner)

    def __repr__(self) -> str:
        return f"{self.block}, {self.acts}"


# ---- running one ----


class Boom(Exception):
    pass


def leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for one in error.exceptions for leaf in leaves(one)]
    return [error]


class Runner:
    """Runs a program. `logs`: of each task, what has happened in it and when."""

    def __init__(self, program: Program) -> None:
        self.logs: dict[int, list[Any]] = {}
        self.tasks: dict[int, Task] = {}
        self.scopes: dict[int, Any] = {}
        self.groups: dict[int, TaskGroup] = {}
        self.make_scopes(program.block)
        self.numbers = {id(scope): number for number, scope in self.scopes.items()}
        with virtual_time() as self.clock, no_tasks_left():
            loop = get_loop()
            for act in program.acts:
                loop.call_later(act.time, self.act, act)
            self.tasks[0] = Task.spawn(self.run_task, 0, program.block, [])
            sleep(1000)
            assert self.tasks[0].ready()
            assert (loop.cancelling, loop.errors, loop._later) == (0, {}, {})

    def make_scopes(self, block: list[Op]) -> None:
        """Beforehand, so that they can be cancelled before they are entered."""
        for op in block:
            if op.kind == "scope":
                self.scopes[op.number] = move_on_after(op.seconds, shield=op.shield)
            elif op.kind == "fail":
                self.scopes[op.number] = fail_after(op.seconds, shield=op.shield)
            elif op.kind == "group":
                self.groups[op.number] = TaskGroup()
                self.scopes[op.number] = self.groups[op.number].cancel_scope
            for inner in op.blocks:
                self.make_scopes(inner)

    def act(self, act: Act) -> None:
        if act.kind == "kill":
            if act.target in self.tasks:
                self.tasks[act.target].kill(block=False)
        elif act.target in self.scopes:
            scope = self.scopes[act.target]
            if act.kind == "cancel":
                scope.cancel()
            else:
                setattr(scope, act.kind, act.value)

    def run_task(self, number: int, block: list[Op], groups: list[TaskGroup]) -> None:
        log = self.logs[number] = []
        try:
            self.run(block, log, groups)
        except BaseException as error:
            log.append(("end", self.name(error), self.clock.now))
            if number:
                raise
        else:
            log.append(("end", None, self.clock.now))

    def name(self, error: BaseException) -> Any:
        """As the model has it."""
        names = []
        for leaf in leaves(error):
            if isinstance(leaf, Cancelled | TimeoutError):
                scope = leaf.scope  # type: ignore[union-attr]
                names.append((type(leaf).__name__, self.numbers[id(scope)]))
            elif isinstance(leaf, CoroutineExit):
                names.append(("kill", 0))
            else:
                names.append((type(leaf).__name__, leaf.number))  # type: ignore[attr-defined]
        return sorted(names) if isinstance(error, BaseExceptionGroup) else names[0]

    def run(self, block: list[Op], log: list[Any], groups: list[TaskGroup]) -> None:
        for op in block:
            name = None
            try:
                caught = getattr(self, op.kind)(op, log, groups)
            except BaseException as error:
                name = self.name(error)
                raise
            finally:
                if op.kind in ("scope", "fail", "group"):
                    caught = self.scopes[op.number].cancelled_caught
                if op.kind not in ("raise_", "spawn"):
                    log.append((op.kind, op.number, name, name is None and caught, self.clock.now))

    def sleep(self, op: Op, log: list[Any], groups: list[TaskGroup]) -> None:
        sleep(op.seconds or 0)

    def raise_(self, op: Op, log: list[Any], groups: list[TaskGroup]) -> None:
        error = Boom()
        error.number = op.number  # type: ignore[attr-defined]
        raise error

    def scope(self, op: Op, log: list[Any], groups: list[TaskGroup]) -> None:
        with self.scopes[op.number]:
            self.run(op.blocks[0], log, groups)

    fail = scope

    def timeout(self, op: Op, log: list[Any], groups: list[TaskGroup]) -> None:
        with Timeout(op.seconds, False) as timeout:
            timeout.number = op.number  # type: ignore[attr-defined]
            self.run(op.blocks[0], log, groups)

    def group(self, op: Op, log: list[Any], groups: list[TaskGroup]) -> None:
        with self.groups[op.number] as group:
            if op.seconds is not None:
                group.cancel_scope.deadline = self.clock.now + op.seconds
            self.run(op.blocks[0], log, [*groups, group])

    def spawn(self, op: Op, log: list[Any], groups: list[TaskGroup]) -> None:
        if groups:
            groups = groups[: max(1, len(groups) - op.levels)]
            self.tasks[op.number] = groups[-1].spawn(self.run_task, op.number, op.blocks[0], groups)

    def finally_(self, op: Op, log: list[Any], groups: list[TaskGroup]) -> None:
        try:
            self.run(op.blocks[0], log, groups)
        finally:
            self.run(op.blocks[1], log, groups)

    def catch(self, op: Op, log: list[Any], groups: list[TaskGroup]) -> bool:
        caught = False
        try:
            self.run(op.blocks[0], log, groups)
        except* (Boom, TimeoutError):
            caught = True
        return caught

    def swallow(self, op: Op, log: list[Any], groups: list[TaskGroup]) -> bool:
        try:
            self.run(op.blocks[0], log, groups)
        except Cancelled:
            return True
        return False


# ---- the model ----


@dataclass(eq=False)
class Error:
    """`kind`: Boom, TimeoutError, Cancelled, Timeout, kill, or group, which has leaves."""

    kind: str
    number: int = 0
    context: Error | None = None
    leaves: list[Error] = field(default_factory=list)

    @property
    def name(self) -> Any:
        if self.kind == "group":
            return sorted((leaf.kind, leaf.number) for leaf in self.leaves)
        return (self.kind, self.number)

    def raise_in(self, handled: Error | None) -> Error:
        """While that is being handled: sets the context, as Python does."""
        if handled is not None and handled is not self:
            error = handled
            while error.context is not None and error.context is not self:
                error = error.context
            error.context = None
            self.context = handled
        return self


class Scope:
    """`failed`: when an error or an interrupt has cancelled it, where it is a group's; `cause`: of
    which task, None for the block. Nothing in there has seen that, at that time."""

    def __init__(self, op: Op, entered: float, acts: list[Act]) -> None:
        self.op = op
        self.entered = entered
        self.failed = inf
        self.cause: int | None = None
        acts = sorted((act for act in acts if act.target == op.number), key=lambda act: act.time)
        self.shields = [act for act in acts if act.kind == "shield"]
        self.cancels = [act.time for act in acts if act.kind == "cancel"]
        self.expires = self.find_deadline([act for act in acts if act.kind == "deadline"])
        self.cancelled = max(entered, min([self.expires, *self.cancels]))  # when
        self.by_deadline = self.expires < min([inf, *self.cancels])

    def find_deadline(self, acts: list[Act]) -> float:
        deadline = seconds = inf if self.op.seconds is None else self.entered + self.op.seconds
        for act in acts:
            if act.time <= self.entered:
                deadline = act.value
        if self.op.kind == "group" and deadline > self.entered:  # set once it is entered
            deadline = deadline if self.op.seconds is None else seconds
        for act in acts:
            if self.entered < act.time < deadline:
                deadline = max(act.value, act.time)
        return max(deadline, self.entered)

    def fail(self, time: float, cause: int | None) -> None:
        if time < self.failed:
            self.failed, self.cause = time, cause

    def is_shield(self, time: float) -> bool:
        before = [act.value for act in self.shields if act.time <= time]
        return before[-1] if before else self.op.shield


@dataclass
class Line:
    """A task. `timeouts`: that are running, by number; `later`: what has been put off."""

    number: int
    kills: list[float]
    log: list[Any] = field(default_factory=list)
    timeouts: dict[int, float] = field(default_factory=dict)
    later: list[Error] = field(default_factory=list)


Chain = tuple[tuple[Scope, int | None], ...]  # and the task of the scope's group, None: the block


@dataclass
class Group:
    """`spawned`: number, block and time of its tasks."""

    spawned: list[tuple[int, list[Op], float]] = field(default_factory=list)


Groups = tuple[Group, ...]
End = tuple[float, Error | None]  # when, and by what


def visible(chain: Chain, time: float) -> Error | None:
    """The outermost scope that refuses a wait then."""
    found = None
    for scope, branch in reversed(chain):
        if scope.cancelled <= time or scope.failed < time:
            found = scope
        if scope.failed == time and scope.cause != branch:
            found = scope
        if scope.is_shield(time):
            break
    return None if found is None else Error("Cancelled", found.op.number)


class Model:
    """`logs`, as Runner's."""

    def __init__(self, program: Program) -> None:
        self.acts = [act for act in program.acts if act.kind != "kill"]
        self.kills = [act for act in program.acts if act.kind == "kill"]
        self.logs: dict[int, list[Any]] = {}
        self.run_task(0, program.block, 0.0, (), ())

    def run_task(
        self, number: int, block: list[Op], time: float, chain: Chain, groups: Groups
    ) -> End:
        line = Line(number, [act.time for act in self.kills if act.target == number])
        time, error = self.run(block, line, time, chain, groups, None)
        line.log.append(("end", error and error.name, time))
        self.logs[number] = line.log
        return time, error

    def run(
        self,
        block: list[Op],
        line: Line,
        time: float,
        chain: Chain,
        groups: Groups,
        handled: Error | None,
    ) -> End:
        for op in block:
            method: Callable[..., tuple[float, Error | None, Any]] = getattr(self, op.kind)
            time, error, caught = method(op, line, time, chain, groups, handled)
            if op.kind not in ("raise_", "spawn"):
                name = error and error.name
                line.log.append((op.kind, op.number, name, error is None and caught, time))
            if error is not None:
                return time, error
        return time, None

    def wait(
        self, line: Line, time: float, until: float, chain: Chain, handled: Error | None
    ) -> End:
        """How a wait ends that begins at `time`."""
        if line.later:
            return time, line.later.pop(0).raise_in(handled)
        refused = visible(chain, time)
        if refused is not None:
            return time, refused.raise_in(handled)
        moments: list[tuple[float, int | None]] = [(kill, None) for kill in line.kills]
        moments += [(expires, number) for number, expires in line.timeouts.items()]
        for scope, _ in chain:
            moments += [(scope.cancelled, -1), (scope.failed, -1)]
            moments += [(act.time, -1) for act in scope.shields]
        for moment, what in sorted(moments, key=lambda one: one[0]):
            if moment <= time or moment > until or (moment == until and what == -1):
                continue
            if what is None:
                return moment, Error("kill").raise_in(handled)
            if what >= 0:
                del line.timeouts[what]
                return moment, Error("Timeout", what).raise_in(handled)
            error = visible(chain, moment)
            if error is not None:
                return moment, error.raise_in(handled)
        return until, None

    def sleep(
        self, op: Op, line: Line, time: float, chain: Chain, groups: Groups, handled: Error | None
    ) -> Any:
        assert op.seconds is not None
        return *self.wait(line, time, time + op.seconds, chain, handled), None

    def raise_(
        self, op: Op, line: Line, time: float, chain: Chain, groups: Groups, handled: Error | None
    ) -> Any:
        return time, Error("Boom", op.number).raise_in(handled), None

    def scope(
        self, op: Op, line: Line, time: float, chain: Chain, groups: Groups, handled: Error | None
    ) -> Any:
        scope = Scope(op, time, self.acts)
        time, error = self.run(op.blocks[0], line, time, (*chain, (scope, None)), groups, handled)
        error, caught = self.catch_own(scope, error, handled)
        if caught is not None and op.kind == "fail" and scope.by_deadline:
            error = Error("TimeoutError", op.number).raise_in(caught)
        return time, error, caught is not None

    fail = scope

    @staticmethod
    def catch_own(
        scope: Scope, error: Error | None, outside: Error | None
    ) -> tuple[Error | None, Error | None]:
        """What goes on, and what has been caught. A kill that the scope's Cancelled has taken the
        place of goes on."""
        if error is None or error.name != ("Cancelled", scope.op.number):
            return error, None
        former = error.context
        while former is not None and former is not outside:
            if former.kind == "kill":
                return former.raise_in(error), None
            former = former.context
        return None, error

    def timeout(
        self, op: Op, line: Line, time: float, chain: Chain, groups: Groups, handled: Error | None
    ) -> Any:
        assert op.seconds is not None
        line.timeouts[op.number] = time + op.seconds
        time, error = self.run(op.blocks[0], line, time, chain, groups, handled)
        line.timeouts.pop(op.number, None)
        own = ("Timeout", op.number)
        line.later = [later for later in line.later if later.name != own]
        return time, None if error is not None and error.name == own else error, None

    def spawn(
        self, op: Op, line: Line, time: float, chain: Chain, groups: Groups, handled: Error | None
    ) -> Any:
        if groups:
            group = groups[max(0, len(groups) - 1 - op.levels)]
            group.spawned.append((op.number, op.blocks[0], time))
        return time, None, None

    def finally_(
        self, op: Op, line: Line, time: float, chain: Chain, groups: Groups, handled: Error | None
    ) -> Any:
        time, error = self.run(op.blocks[0], line, time, chain, groups, handled)
        time, another = self.run(op.blocks[1], line, time, chain, groups, error or handled)
        return time, another or error, None

    def catch(
        self, op: Op, line: Line, time: float, chain: Chain, groups: Groups, handled: Error | None
    ) -> Any:
        time, error = self.run(op.blocks[0], line, time, chain, groups, handled)
        if error is None:
            return time, None, False
        kinds = ("Boom", "TimeoutError")
        rest = [leaf for leaf in error.leaves if leaf.kind not in kinds]
        if rest:
            error = Error("group", context=error.context, leaves=rest)
        elif error.kind in (*kinds, "group"):
            return time, None, True
        return time, error, None

    def swallow(
        self, op: Op, line: Line, time: float, chain: Chain, groups: Groups, handled: Error | None
    ) -> Any:
        time, error = self.run(op.blocks[0], line, time, chain, groups, handled)
        if error is not None and error.kind == "Cancelled":
            return time, None, True
        return time, error, False

    def group(
        self, op: Op, line: Line, time: float, chain: Chain, groups: Groups, handled: Error | None
    ) -> Any:
        """The first error cancels the group, and what happens before that does not depend on it:
        so it is played until no earlier cancellation comes out of it."""
        scope = Scope(op, time, self.acts)
        began = time
        before = Line(0, [], [*line.log], {**line.timeouts}, [*line.later])
        logs = {**self.logs}
        counts = [len(group.spawned) for group in groups]
        while True:
            line.log, line.later = [*before.log], [*before.later]
            line.timeouts = {**before.timeouts}
            self.logs = {**logs}
            for group, count in zip(groups, counts, strict=True):
                del group.spawned[count:]
            former = scope.failed
            result = self.play(op, scope, line, began, chain, groups, handled)
            if scope.failed == former:
                return result

    def play(
        self,
        op: Op,
        scope: Scope,
        line: Line,
        time: float,
        chain: Chain,
        groups: Groups,
        handled: Error | None,
    ) -> Any:
        group = Group()
        inside = (*groups, group)
        time, error = self.run(op.blocks[0], line, time, (*chain, (scope, None)), inside, handled)
        ends = []
        for number, block, began in group.spawned:  # which grows
            branch = (*chain, (scope, number))
            ends.append((number, *self.run_task(number, block, began, branch, inside)))
        end = max([time, *(end for _, end, _ in ends)])
        waits = any(end >= time for _, end, _ in ends)
        own = ("Cancelled", op.number)
        errors, passing = [], []
        if error is not None:
            if error.kind in ("Boom", "TimeoutError", "group"):
                errors.append(error)
            else:
                passing.append(error)
            if error.name != own:
                scope.fail(time, None)
        for number, ended, failure in ends:
            if failure is not None and failure.kind not in ("kill", "Cancelled"):
                errors.append(failure)
                scope.fail(ended, number)
        in_flight = passing[0] if passing else None
        now = time
        while waits:
            now, interrupt = self.wait(line, now, end, (), error or handled)
            if interrupt is None:
                break
            passing.append(interrupt)
            scope.fail(now, None)
        caught = any(failure is not None and failure.name == own for _, _, failure in ends)
        if in_flight is not None:
            stronger, mine = self.catch_own(scope, in_flight, handled)
            if mine is not None:
                caught = True
                del passing[0]
            elif stronger is not None:
                passing[0] = stronger
        kills = [one for one in passing if one.kind == "kill"]
        others = [one for one in passing if one.kind not in ("kill", "Cancelled")]
        if errors:
            line.later += kills
            all_leaves = [leaf for one in [*errors, *others] for leaf in one.leaves or [one]]
            raised = Error("group", leaves=all_leaves).raise_in(error or handled)
        elif passing:
            raised = (others or kills or passing)[0]
            line.later += [one for one in others + kills if one is not raised]
            raised.raise_in(error or handled)
        else:
            refused = visible(chain, end) if error is None and waits else None
            return end, refused and refused.raise_in(handled), caught
        return end, raised, caught


@settings(
    max_examples=600,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(programs())
def test_programs_run_as_the_model_says(program: Program) -> None:
    model, runner = Model(program), Runner(program)
    entries = [entry for log in model.logs.values() for entry in log]
    for name in sorted({str(entry[-3 if entry[0] != "end" else 1]) for entry in entries}):
        event(name.partition(",")[0])
    assert runner.logs == model.logs
