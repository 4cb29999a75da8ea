"""What the suites of other packages take from PyPI, each into a folder of its own."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

from pycoro.programs import is_module


def download(folder: Path, requirement: str, options: Sequence[str] = ()) -> bool:
    """Puts the package's wheel into the folder. False where pip cannot, which says why."""
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:"]
    done = subprocess.run([*command, *options, "-d", str(folder), requirement], check=False)
    return done.returncode == 0


def unpack(folder: Path, package: str, parts: Sequence[str]) -> None:
    """Of the wheel in the folder, what is in the package under one of these names."""
    (wheel,) = folder.glob(f"{package}-*.whl")
    wanted = tuple(f"{package}/{part}" for part in parts)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder, [n for n in archive.namelist() if n.startswith(wanted)])


def fetch_needed(folder: Path, modules: Sequence[str]) -> list[str]:
    """Folders for the path in which those are, of these modules, that are not installed."""
    missing = [name for name in modules if not is_module(name)]
    if not missing:
        return []
    target = folder / "needed"
    command = [sys.executable, "-m", "pip", "install", "-q", "--target", str(target)]
    subprocess.run([*command, *missing], check=True)
    return [str(target)]
