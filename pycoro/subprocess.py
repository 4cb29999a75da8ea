"""The stdlib's subprocess module, which lets other tasks run while a child process does its work.

Popen is the stdlib's, whose code is run with other names in its globals: pipes are files of
fileobject.py, waiting with a selector is cooperative. A child's end is waited for by a descriptor
of its own, see os.py: no signal handler, and none of the user's is in the way.
"""

from __future__ import annotations

import io as _stdlib_io
import subprocess as _stdlib
from collections.abc import Callable
from os import WNOHANG
from types import SimpleNamespace
from typing import Any

from .borrow import Borrower
from .fileobject import lend, open_descriptor
from .links import check_callback
from .loop import get_loop
from .os import wait_for_exit
from .selectors import PollSelector
from .sleeping import sleep
from .task import Task

_Base = _stdlib.Popen
_TICK = 0.02  # seconds between looks at a child whose end cannot be waited for


class Popen(_Base):  # type: ignore[type-arg]
    """As the stdlib's Popen."""

    def _get_handles(self, *files: Any) -> Any:
        for file in files:  # a pipe of another child's, say
            lend(file)
        return super()._get_handles(*files)  # type: ignore[misc]

    def _wait(self, timeout: float | None) -> int:
        clock = get_loop().clock
        deadline = None if timeout is None else clock() + timeout
        while self._reap() is None:
            left = None if deadline is None else deadline - clock()
            if left is not None and left <= 0:
                raise _stdlib.TimeoutExpired(self.args, timeout or 0.0)
            try:
                if not wait_for_exit(self.pid, left):
                    sleep(_TICK if left is None else min(_TICK, left))
            except TimeoutError:
                pass
        return self.returncode

    def __exit__(self, kind: Any, value: Any, traceback: Any) -> None:
        """Closes the pipes and waits for the child, also where another task is reading: that gets
        an OSError."""
        for file in (self.stdout, self.stderr):
            if file is not None:
                try:
                    file.close()
                except RuntimeError:  # its buffer has to leave that read first
                    buffer: Any = getattr(file, "buffer", file)
                    buffer.raw.close()
                    sleep(0)
        super().__exit__(kind, value, traceback)

    def rawlink(self, callback: Callable[[Any], Any]) -> None:
        """Calls callback(self) in the loop, soon after the child has ended: for wait() and iwait()
        of this package, as gevent has it. TypeError where it is not callable."""
        check_callback(callback)
        Task.spawn(self.wait).rawlink(lambda task: callback(self))

    def _reap(self) -> int | None:
        """Its return code, if it has ended."""
        lock = self._waitpid_lock  # type: ignore[attr-defined]
        if self.returncode is None and lock.acquire(False):  # else another thread is at it
            try:
                if self.returncode is None:
                    pid, status = self._try_wait(WNOHANG)  # type: ignore[attr-defined]
                    if pid == self.pid:
                        self._handle_exitstatus(status)  # type: ignore[attr-defined]
            finally:
                lock.release()
        return self.returncode


_stdlibs = Borrower(
    _stdlib,
    Popen=Popen,
    _PopenSelector=PollSelector,
    io=SimpleNamespace(**{**vars(_stdlib_io), "open": open_descriptor}),
)
for _name in ("__init__", "communicate", "_communicate"):
    setattr(Popen, _name, _stdlibs.borrow_method(getattr(_Base, _name)))

call = _stdlibs.borrow(_stdlib.call)
check_call = _stdlibs.borrow(_stdlib.check_call)
run = _stdlibs.borrow(_stdlib.run)
check_output = _stdlibs.borrow(_stdlib.check_output)
getoutput = _stdlibs.borrow(_stdlib.getoutput)
getstatusoutput = _stdlibs.borrow(_stdlib.getstatusoutput)

__implements__ = [
    *("Popen", "call", "check_call", "check_output", "getoutput", "getstatusoutput", "run")
]
__all__ = list(_stdlib.__all__)


def __getattr__(name: str) -> Any:
    return getattr(_stdlib, name)
