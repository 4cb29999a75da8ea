"""Which locks a suspended frame holds, by its source code. A best guess, for reports alone.

A semaphore does not know who has it: noting that would cost everybody something for the day of the
deadlock. The source knows it as well: the frame is within `with lock:`, or between lock.acquire()
and lock.release(). What is looked at are names, attributes and items of plain containers, without
running any code. Nothing is found where there is no source, or the lock was taken elsewhere.
"""

from __future__ import annotations

import ast
import linecache
from collections.abc import Iterator
from types import CodeType, FrameType, MemberDescriptorType
from typing import Any

Position = tuple[int, int]  # line and column

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_NOTHING: Any = object()


class Sources:
    """Syntax trees of functions, each read once."""

    def __init__(self) -> None:
        self._trees: dict[CodeType, ast.AST | None] = {}

    def held(self, frame: FrameType, entering: Any = None) -> list[Any]:
        """What the frame holds: the values of `with`, and what it has acquired last. `entering`:
        what it waits for; a `with` of several that enters that does not have it, nor those after.
        """
        code = frame.f_code
        if code not in self._trees:
            self._trees[code] = _tree_of(code, frame.f_globals)
        tree = self._trees[code]
        where = _position(frame)
        if tree is None or where is None:
            return []
        held: list[Any] = []
        taken: list[tuple[Position, str, ast.expr]] = []
        for node in _own_nodes(tree):
            if isinstance(node, ast.With):
                if _start(node) <= where <= _end(node):
                    held += _entered(node, frame, where, entering)
            elif (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in ("acquire", "release")
                and _end(node) <= where
            ):
                taken.append((_end(node), node.func.attr, node.func.value))
        last: dict[int, tuple[str, Any]] = {}
        for _, what, expression in sorted(taken, key=lambda each: each[0]):
            value = _evaluate(expression, frame)
            last[id(value)] = (what, value)
        return held + [value for what, value in last.values() if what == "acquire"]


def _tree_of(code: CodeType, names: dict[str, Any]) -> ast.AST | None:
    """Of a function or a module; None where there is no source, or another one."""
    lines = linecache.getlines(code.co_filename, names)
    if code.co_name == "<module>":
        return _parse("".join(lines))
    first = code.co_firstlineno
    last = _last_line(code)
    # A block whose statements leave no trace in the code may end some lines further down.
    for end in range(last, min(last + 4, len(lines) + 1)):
        tree = _parse(
            "if True:\n" * lines[first - 1].startswith((" ", "\t"))
            + "".join(lines[first - 1 : end])
        )
        if tree is not None:
            function = tree.body[0]
            if isinstance(function, ast.If):
                function = function.body[0]
                ast.increment_lineno(function, -1)
            if getattr(function, "name", None) == code.co_name:
                return ast.increment_lineno(function, first - 1)
    return None


def _parse(source: str) -> ast.Module | None:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return None


def _last_line(code: CodeType) -> int:
    ends = [end for _, end, _, _ in code.co_positions() if end is not None]
    ends += [_last_line(inner) for inner in code.co_consts if isinstance(inner, CodeType)]
    return max(ends, default=code.co_firstlineno)


def _position(frame: FrameType) -> Position | None:
    """Where the running instruction begins."""
    for index, (line, _, column, _) in enumerate(frame.f_code.co_positions()):
        if index == frame.f_lasti // 2:
            return None if line is None or column is None else (line, column)
    return None


def _start(node: Any) -> Position:
    return node.lineno, node.col_offset


def _end(node: Any) -> Position:
    return node.end_lineno, node.end_col_offset


def _own_nodes(body: ast.AST) -> Iterator[ast.AST]:
    """All in a function but what is in functions and classes in there."""
    for node in ast.iter_child_nodes(body):
        if not isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            yield node
            yield from _own_nodes(node)


def _entered(node: ast.With, frame: FrameType, where: Position, entering: Any) -> list[Any]:
    """What a `with` has entered at that position."""
    items = node.items
    values = [_evaluate(item.context_expr, frame) for item in items]
    if _start(node.body[0]) <= where:
        count = len(items)
    elif where == _start(node):  # of any item, on 3.11 and 3.12
        count = max((i for i, value in enumerate(values) if value is entering), default=0)
    else:
        count = sum(_end(item.context_expr) <= where for item in items)
    return [value for value in values[:count] if value is not _NOTHING]


def _evaluate(node: ast.expr, frame: FrameType) -> Any:
    """The value of a simple expression; _NOTHING where that would run code."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        for names in (frame.f_locals, frame.f_globals):
            if node.id in names:
                return names[node.id]
    elif isinstance(node, ast.Attribute):
        owner = _evaluate(node.value, frame)
        if owner is not _NOTHING:
            return _attribute(owner, node.attr)
    elif isinstance(node, ast.Subscript):
        container, key = _evaluate(node.value, frame), _evaluate(node.slice, frame)
        if type(container) in (list, tuple, dict) and type(key) in (int, str):
            try:
                return container[key]
            except (LookupError, TypeError):
                pass
    return _NOTHING


def _attribute(owner: Any, name: str) -> Any:
    """As getattr() finds it in __slots__ or __dict__ of the object, or of its class."""
    for kind in type(owner).__mro__:
        value = kind.__dict__.get(name, _NOTHING)
        if isinstance(value, MemberDescriptorType):
            try:
                return value.__get__(owner)
            except AttributeError:  # not set
                return _NOTHING
        if value is not _NOTHING:
            if hasattr(type(value), "__get__"):  # a property, say
                return _NOTHING
            break
    else:
        value = _NOTHING
    try:
        return object.__getattribute__(owner, "__dict__").get(name, value)
    except AttributeError:
        return value
