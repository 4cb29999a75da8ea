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
from inspect import getattr_static
from types import FrameType, MemberDescriptorType
from typing import Any

Position = tuple[int, int]  # line and column

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_NOTHING: Any = object()


class Sources:
    """Syntax trees of files, each read once."""

    def __init__(self) -> None:
        self._trees: dict[str, ast.Module | None] = {}

    def held(self, frame: FrameType, entering: Any = None) -> list[Any]:
        """What the frame holds: the values of `with`, and what it has acquired last. `entering`:
        what it waits for; a `with` of several that enters that does not have it, nor those after.
        """
        code = frame.f_code
        tree = self._tree(frame)
        where = _position(frame)
        if tree is None or where is None:
            return []
        body = _function_at(tree, code.co_firstlineno, code.co_name, where)
        if body is None:
            return []
        held: list[Any] = []
        taken: list[tuple[Position, str, ast.expr]] = []
        for node in _own_nodes(body):
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

    def _tree(self, frame: FrameType) -> ast.Module | None:
        path = frame.f_code.co_filename
        if path not in self._trees:
            try:
                self._trees[path] = ast.parse("".join(linecache.getlines(path, frame.f_globals)))
            except (SyntaxError, ValueError, RecursionError):
                self._trees[path] = None
        return self._trees[path]


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


def _function_at(tree: ast.Module, first: int, name: str, where: Position) -> ast.AST | None:
    """The function, or the module, of that name that begins there and goes on at `where`."""
    if name == "<module>":
        return tree
    for node in ast.walk(tree):
        if isinstance(node, _FUNCTIONS) and getattr(node, "name", "<lambda>") == name:
            begin = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", ()))])
            if begin == first and _start(node) <= where <= _end(node):
                return node
    return None


def _own_nodes(body: ast.AST) -> Iterator[ast.AST]:
    """All in a function but what is in functions and classes in there."""
    for node in ast.iter_child_nodes(body):
        if not isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            yield node
            yield from _own_nodes(node)


def _entered(node: ast.With, frame: FrameType, where: Position, entering: Any) -> list[Any]:
    """What a `with` has entered at that position."""
    inside = _start(node.body[0]) <= where
    values: list[Any] = []
    for item in node.items:
        value = _evaluate(item.context_expr, frame)
        if not inside:
            # On 3.11 and 3.12, the position of entering any item is that of the whole statement.
            of_statement = where == _start(node)
            if (of_statement and value is entering) or (
                not of_statement and _end(item.context_expr) > where
            ):
                return values
        if value is not _NOTHING:
            values.append(value)
    return values if inside or where != _start(node) else []


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
    value = getattr_static(owner, name, _NOTHING)
    if isinstance(value, MemberDescriptorType):  # of __slots__
        try:
            return value.__get__(owner)
        except (AttributeError, TypeError):
            return _NOTHING
    return value
