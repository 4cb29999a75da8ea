"""Running somebody's program in this process: what is common to the commands that do."""

from __future__ import annotations

import importlib.util
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path


def run_program(argv: Sequence[str], *, as_module: bool, command: str) -> None:
    """Runs argv[0], a file, folder or archive, or a module's name, as python itself does: it finds
    `argv` in sys.argv. Exits with a line that begins with `command` where it is not there."""
    sys.argv = list(argv)
    name = sys.argv[0]
    if as_module:
        if not _is_there(name):
            sys.exit(f"{command}: there is no module {name}")
        runpy.run_module(name, run_name="__main__", alter_sys=True)
    else:
        if not Path(name).exists():
            sys.exit(f"{command}: there is no file {name}")
        sys.path[0] = str(Path(name).resolve().parent)
        runpy.run_path(name, run_name="__main__")


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # nor the package that it would be in
        return False
