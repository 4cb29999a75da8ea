"""The layers of ARCHITECTURE.md, held true: who imports whom, and what a file may be.

Reads sources, runs none. A module that is new must be given its layer here. Imports under
`if TYPE_CHECKING:` are for readers of types, and do not count.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "pycoro"
CSRC = ROOT / "csrc"

# From the ground up. A module imports from lower layers, or from its own where no circle forms.
LAYERS: list[set[str]] = [
    {"ancestry", "errors", "events", "programs", "stacks", "_native", "_native_cffi"},
    {"checks", "contextvars", "standin"},
    {"settings", "threads"},
    {"coroutine", "forks"},
    {"greenlet"},
    {"blocking", "poller", "reports", "timers", "turns", "wakeup", "watches"},
    {"borrow", "deadlock", "entries", "holding", "hubnames", "monitor", "schedule", "waits"},
    {"loop"},
    {"links", "raw", "sleeping", "waiting", "timeout"},
    {
        "chain",
        "child",
        "deadlines",
        "ending",
        "nursery",
        "outcome",
        "scope",
        "task",
        "tasks",
    },
    {"event", "exchange", "local", "lock", "runner", "semaphore", "store"},
    {"channel", "simplequeue"},
    {"choice", "queue"},
    {"workers", "imap", "mapping", "pool"},
    {"jobs", "threadpool", "waitingsocket"},
    {
        "dns",
        "fileobject",
        "joining",
        "processes",
        "os",
        "resolver",
        "select",
        "selectors",
        "signal",
        "socket",
        "ssl",
        "subprocess",
        "thread",
        "threading",
        "time",
    },
    {"exceptions", "hub", "monkey", "watchers"},
    {"core"},
    {"handlers", "heartbeat", "listeners", "prefork", "stopsignals", "tls", "workerprocess"},
    {"backdoor", "baseserver", "server"},
    {"pywsgi"},
    {"debug", "switches", "testing", "tracing", "tree", "util"},
    {"__init__"},
    {"celery", "demo", "gevent", "gunicorn", "integrations", "pytest_plugin"},
    {"__main__"},
]
HEIGHT = {name: height for height, names in enumerate(LAYERS) for name in names}

PYTHON_FILES = sorted(PACKAGE.rglob("*.py"))
C_FILES = sorted([*CSRC.glob("*.c"), *CSRC.glob("*.h")])


def name_of(path: Path) -> str:
    """`pycoro/x.py` is x, and so is everything in `pycoro/x/`."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[0]


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and (
        (isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING")
        or (isinstance(node.test, ast.Attribute) and node.test.attr == "TYPE_CHECKING")
    )


def imports_of(tree: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If) and is_type_checking(node):
            for other in node.orelse:
                yield from imports_of(ast.Module([other], []))
        else:
            yield from imports_of(node)


def targets(path: Path, node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    """The modules of ours that an import statement names."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            if alias.name.split(".")[0] == "pycoro":
                yield [*alias.name.split("."), "__init__"][1]
        return
    here = ["pycoro", *path.relative_to(PACKAGE).parent.parts]
    base = here[: len(here) - node.level + 1] if node.level else []
    full = [*base, *(node.module.split(".") if node.module else [])]
    if full[:1] != ["pycoro"]:
        return
    if len(full) > 1:
        yield full[1]
        return
    for alias in node.names:
        if (PACKAGE / f"{alias.name}.py").exists() or (PACKAGE / alias.name).is_dir():
            yield alias.name
        else:
            yield "__init__"


def edges() -> Iterator[tuple[str, str, str]]:
    """(importer, imported, where), modules of ours only."""
    for path in PYTHON_FILES:
        for node in imports_of(ast.parse(path.read_text())):
            for target in targets(path, node):
                if target != name_of(path):
                    yield (
                        name_of(path),
                        target,
                        f"{path.relative_to(ROOT)}:{node.lineno}",
                    )


def test_every_module_has_a_layer() -> None:
    names = {name_of(path) for path in PYTHON_FILES}
    assert sorted(names - HEIGHT.keys()) == []
    assert sum(len(names) for names in LAYERS) == len(HEIGHT)


def test_imports_point_down() -> None:
    upward = [
        f"{where}: {importer} imports {imported}, which is above it"
        for importer, imported, where in edges()
        if HEIGHT.get(imported, 0) > HEIGHT.get(importer, len(LAYERS))
    ]
    assert upward == []


def test_no_imports_in_a_circle() -> None:
    below: dict[str, set[str]] = {}
    for importer, imported, _ in edges():
        below.setdefault(importer, set()).add(imported)
    done: set[str] = set()
    while (
        ready := {name for name in below if name not in done and below[name] <= done}
        | {name for names in below.values() for name in names if name not in below} - done
    ):
        done |= ready
    assert sorted(below.keys() - done) == []


def test_no_imports_in_functions() -> None:
    hidden = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in PYTHON_FILES
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert hidden == []


def test_only_native_imports_the_compiled_module() -> None:
    importers = {importer for importer, imported, _ in edges() if imported == "_native_cffi"}
    assert importers == {"_native"}
    others = [
        path.name
        for path in PYTHON_FILES
        if path.name != "_native.py"
        and re.search(r"import_module\(.*_native_cffi", path.read_text())
    ]
    assert others == []


@pytest.mark.parametrize("path", PYTHON_FILES + C_FILES, ids=lambda path: path.name)
def test_a_file_is_one_thing_of_four_hundred_lines_at_most(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    assert lines <= 400


@pytest.mark.parametrize("path", PYTHON_FILES, ids=lambda path: path.name)
def test_a_python_file_opens_by_saying_what_it_owns(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring is not None
    assert 1 <= len(docstring.splitlines()) <= 16


@pytest.mark.parametrize("path", C_FILES, ids=lambda path: path.name)
def test_a_c_file_opens_by_saying_what_it_owns(path: Path) -> None:
    text = path.read_text()
    assert text.startswith("/* ")
    assert text.index("*/") > 10


@pytest.mark.parametrize("path", C_FILES, ids=lambda path: path.name)
def test_versions_are_known_to_pystate_alone(path: Path) -> None:
    if re.fullmatch(r"pystate_3\d+\.c", path.name):
        return
    assert re.findall(r"\bPY_(?:VERSION_HEX|M[A-Z]+_VERSION)\b", path.read_text()) == []


ABOVE_THE_CORE = ("api.h", "api_internal.h", "greenlet.h", "object.h")
CORE_HEADERS = [path for path in CSRC.glob("*.h") if path.name not in ABOVE_THE_CORE]


@pytest.mark.parametrize("path", CORE_HEADERS, ids=lambda path: path.name)
def test_a_header_of_the_core_includes_no_python(path: Path) -> None:
    assert "Python.h" not in path.read_text()


# The checks above see what they should: each is shown something bad.


def test_the_reader_sees_what_python_would_import() -> None:
    source = """
import os, pycoro.loop
from . import errors, current
from .task import spawn
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from . import server
else:
    from . import timers
try:
    from .queue import Queue
except ImportError:
    pass
"""
    path = PACKAGE / "invented.py"
    seen = [name for node in imports_of(ast.parse(source)) for name in targets(path, node)]
    assert seen[:4] == ["loop", "errors", "__init__", "task"]
    assert "server" not in seen
    assert seen[-1] == "queue"
