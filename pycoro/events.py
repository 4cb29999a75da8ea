"""What the library tells of as it happens, to whoever wants to hear it: gevent's `events`.

Append a function to `subscribers`: it is called with each event, an object whose class says what
has happened, in the thread where it happens. An exception of one subscriber keeps the event from
those after it, as with zope.event.
"""

from __future__ import annotations

from collections.abc import Callable
from traceback import StackSummary
from typing import Any

subscribers: list[Callable[[Any], object]] = []


def notify(event: Any) -> None:
    """Tells all subscribers."""
    for subscriber in list(subscribers):
        subscriber(event)


class PeriodicMonitorThreadStartedEvent:
    """A loop has got its monitor: `monitor`, whose add_monitoring_function() is there to be used.
    Told in the loop's thread."""

    def __init__(self, monitor: Any) -> None:
        self.monitor = monitor

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.monitor!r}>"


class EventLoopBlocked:
    """A coroutine, `greenlet`, keeps its loop, `hub`, from its turn: for about `blocking_time`
    seconds until now. `info`: the report in lines, its stack included; subscribers may change it
    before it is shown. `over`: now it has let go. `stack`: where it is, the outermost call first;
    `busy`: the share of that time, 0 to 1, that it had something to compute, or None; these two
    before it is over. str() gives the report. Told in the monitor's thread."""

    def __init__(
        self,
        greenlet: Any,
        blocking_time: float,
        info: list[str],
        *,
        hub: Any = None,
        over: bool = False,
        stack: StackSummary | None = None,
        busy: float | None = None,
    ) -> None:
        self.greenlet = greenlet
        self.blocking_time = blocking_time
        self.info = info
        self.hub = hub
        self.over = over
        self.stack = StackSummary() if stack is None else stack
        self.busy = busy

    def __str__(self) -> str:
        return "\n".join(self.info)

    def __repr__(self) -> str:
        state = "over" if self.over else "going on"
        return (
            f"<{type(self).__name__} by {self.greenlet!r} for {self.blocking_time:.3f} s, {state}>"
        )


# ---- monkey patching ----


class DoNotPatch(BaseException):
    """A subscriber raises it when told of something that is going to be patched, and it is not."""


class GeventPatchEvent:
    """`source`, what replaces, and `target`, what is replaced: modules, or None."""

    def __init__(self, source: Any, target: Any) -> None:
        self.source = source
        self.target = target

    def __repr__(self) -> str:
        return f"<{type(self).__name__} source={self.source!r} target={self.target!r}>"


class GeventWillPatchEvent(GeventPatchEvent):
    """Before it is done. DoNotPatch prevents it."""


class GeventDidPatchEvent(GeventPatchEvent):
    """After it was done."""


class GeventWillPatchModuleEvent(GeventWillPatchEvent):
    """A module, `module_name`, is going to be patched: of it what is in `target_item_names`, which
    subscribers may shorten. A part of the patches may go to several modules, in an event each."""

    def __init__(self, module_name: str, source: Any, target: Any, items: list[str]) -> None:
        super().__init__(source, target)
        self.module_name = module_name
        self.target_item_names = items


class GeventDidPatchModuleEvent(GeventDidPatchEvent):
    """A module, `module_name`, has been patched."""

    def __init__(self, module_name: str, source: Any, target: Any) -> None:
        super().__init__(source, target)
        self.module_name = module_name


class _PatchAll(GeventPatchEvent):
    def __init__(
        self, patch_all_arguments: dict[str, Any], patch_all_kwargs: dict[str, Any]
    ) -> None:
        super().__init__(None, None)
        self._arguments = patch_all_arguments
        self._kwargs = patch_all_kwargs

    @property
    def patch_all_arguments(self) -> dict[str, Any]:
        """What patch_all() was called with, its own parameters only: a copy."""
        return self._arguments.copy()

    @property
    def patch_all_kwargs(self) -> dict[str, Any]:
        """The others, which it does not know: a copy."""
        return self._kwargs.copy()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._arguments!r}>"


class GeventWillPatchAllEvent(_PatchAll, GeventWillPatchEvent):
    """patch_all() begins."""

    def will_patch_module(self, module_name: str) -> Any:
        """Is this part among those to be patched?"""
        return self._arguments.get(module_name)


class GeventDidPatchBuiltinModulesEvent(_PatchAll, GeventDidPatchEvent):
    """patch_all() has patched the standard library: time to patch other packages."""


class GeventDidPatchAllEvent(_PatchAll, GeventDidPatchEvent):
    """patch_all() ends."""
