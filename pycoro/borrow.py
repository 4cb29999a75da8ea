"""The stdlib's functions with other names in their globals: its code, cooperating.

A function that makes sockets, say, looks `socket` up in its module; run with a table in which that
is ours, it makes ours. So nothing of the stdlib has to be written again.
"""

from __future__ import annotations

from types import FunctionType, ModuleType
from typing import Any


class Borrower:
    """`names`: those of a module, with ours in place of some; what is borrowed is added."""

    def __init__(self, module: ModuleType, **ours: Any) -> None:
        self.names = {**vars(module), **ours}

    def borrow(self, function: Any) -> Any:
        """The same function, which finds our names, and is found by others that are borrowed."""
        ours = self.borrow_method(function)
        self.names[function.__name__] = ours
        return ours

    def borrow_method(self, function: Any) -> Any:
        """The same of a method."""
        code, closure = function.__code__, function.__closure__
        ours = FunctionType(code, self.names, function.__name__, function.__defaults__, closure)
        ours.__kwdefaults__ = function.__kwdefaults__
        ours.__doc__ = function.__doc__
        return ours
