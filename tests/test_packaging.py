"""What a package holds and a build says: the source archive, type marker, versions, refusals."""

import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import types
from collections.abc import Iterator
from importlib import util
from pathlib import Path
from typing import Any

import pytest

import pycoro

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture
def build_ffi(monkeypatch: pytest.MonkeyPatch) -> Iterator[types.ModuleType]:
    """csrc/build_ffi.py, freshly read; nothing is compiled by that."""
    monkeypatch.chdir(ROOT)
    spec = util.spec_from_file_location("build_ffi_under_test", ROOT / "csrc" / "build_ffi.py")
    assert spec is not None and spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module


def pretend(monkeypatch: pytest.MonkeyPatch, module: Any, **changes: Any) -> None:
    stand_in = types.SimpleNamespace(
        version_info=sys.version_info, implementation=sys.implementation, maxsize=sys.maxsize
    )
    for name, value in changes.items():
        setattr(stand_in, name, value)
    monkeypatch.setattr(module, "sys", stand_in)


def test_each_supported_version_has_its_file(
    build_ffi: types.ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = []
    for version in build_ffi.SUPPORTED:
        pretend(monkeypatch, build_ffi, version_info=(*version, 0, "final", 0))
        chosen.append(build_ffi.pystate_source())
    assert chosen == sorted(path.name for path in (ROOT / "csrc").glob("pystate_3*.c"))


@pytest.mark.parametrize("version", [(3, 10), (3, 16), (4, 0)])
def test_an_unknown_version_is_refused_with_a_sentence(
    build_ffi: types.ModuleType, monkeypatch: pytest.MonkeyPatch, version: tuple[int, int]
) -> None:
    pretend(monkeypatch, build_ffi, version_info=(*version, 0, "final", 0))
    with pytest.raises(SystemExit, match=r"3\.11, .*3\.15.* CONTRIBUTING\.md"):
        build_ffi.pystate_source()


def test_sources_that_are_not_compiled_say_what_to_do(tmp_path: Path) -> None:
    sources = shutil.ignore_patterns("*.so", "__pycache__")
    shutil.copytree(Path(pycoro.__file__).parent, tmp_path / "pycoro", ignore=sources)
    command = [sys.executable, "-S", "-c", "import pycoro"]  # -S: without what is installed
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stderr.splitlines()[-1].startswith("ImportError: pycoro's C library is not")


def test_another_implementation_is_refused(
    build_ffi: types.ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, build_ffi, implementation=types.SimpleNamespace(name="pypy"))
    with pytest.raises(SystemExit, match="knows the inside of CPython"):
        build_ffi.pystate_source()


def test_the_portable_switch_is_taken_on_request_and_where_there_is_no_other(
    build_ffi: types.ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYCORO_SWAP", "setjmp")
    assert build_ffi.swap_source() == "swap_setjmp.c"
    monkeypatch.delenv("PYCORO_SWAP")
    monkeypatch.setattr(build_ffi.platform, "machine", lambda: "x86_64")
    assert build_ffi.swap_source() == "swap_x86_64.c"
    monkeypatch.setattr(build_ffi.platform, "machine", lambda: "riscv64")
    assert build_ffi.swap_source() == "swap_setjmp.c"


def test_supported_versions_are_the_same_everywhere(build_ffi: types.ModuleType) -> None:
    first, last = build_ffi.SUPPORTED[0], build_ffi.SUPPORTED[-1]
    assert PROJECT["requires-python"] == f">={first[0]}.{first[1]},<{last[0]}.{last[1] + 1}"
    named = [
        match.groups()
        for classifier in PROJECT["classifiers"]
        if (match := re.fullmatch(r"Programming Language :: Python :: (\d)\.(\d+)", classifier))
    ]
    assert [(int(major), int(minor)) for major, minor in named] == build_ffi.SUPPORTED


def test_cffi_is_the_only_dependency_and_every_extra_has_a_reason() -> None:
    assert [name_of(line) for line in PROJECT["dependencies"]] == ["cffi"]
    reasons = (ROOT / "CHANGELOG.md").read_text()
    extras = PROJECT["optional-dependencies"]
    missing = {
        name_of(line)
        for lines in extras.values()
        for line in lines
        if f"`{name_of(line)}`" not in reasons
    }
    assert missing == set()


def name_of(requirement: str) -> str:
    return re.split(r"[<>=!~;\[ ]", requirement)[0]


def test_the_package_is_marked_as_typed() -> None:
    assert (Path(pycoro.__file__).parent / "py.typed").exists()


def test_the_source_archive_is_complete(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "setup.py", "-q", "sdist", "-d", str(tmp_path)],
        cwd=copy_of_the_sources(tmp_path / "copy"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    (archive,) = tmp_path.glob("pycoro-*.tar.gz")
    with tarfile.open(archive) as file:
        packed = {name.partition("/")[2] for name in file.getnames()}
    wanted = {
        str(path.relative_to(ROOT))
        for folder in ("csrc", "pycoro", "tests")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".pyi", ".c", ".h"} and "build" not in path.parts
    } - {"pycoro/_native_cffi.c"}
    assert sorted(wanted - packed) == []
    assert {"LICENSE", "pyproject.toml", "setup.py", "tests/c/Makefile"} <= packed
    assert [name for name in packed if name.endswith((".so", ".o", ".pyc"))] == []


def copy_of_the_sources(target: Path) -> Path:
    """So that a build leaves nothing behind in the checkout."""
    skip = {".git", "build", "dist", "__pycache__"}
    for path in ROOT.rglob("*"):
        parts = path.relative_to(ROOT).parts
        if path.is_file() and not skip & set(parts) and not parts[0].startswith(".venv"):
            copy = target.joinpath(*parts)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    return target
