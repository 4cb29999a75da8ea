"""What the commands that run somebody's program say where they cannot: one line, no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT, run_python

MONKEY = "pycoro.monkey"
GREENLET = "pycoro.greenlet"


def run(command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_python(
        f"""
        import runpy, sys
        sys.argv[1:] = {list(arguments)!r}
        runpy.run_module({command!r}, run_name="__main__", alter_sys=True)
        """
    )


@pytest.mark.parametrize("command", [MONKEY, GREENLET])
@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["no/such.py"], "there is no file no/such.py"),
        (["-m", "no_such"], "there is no module no_such"),
        (["-m", "no_such.part"], "there is no module no_such.part"),
        (["-m", "json.no_such"], "there is no module json.no_such"),
        (["-m", "json.decoder.part"], "there is no module json.decoder.part"),
        (["-m", ""], "there is no module "),
        (["-m", ".part"], "there is no module .part"),
    ],
)
def test_a_program_that_is_not_there(command: str, arguments: list[str], complaint: str) -> None:
    done = run(command, *arguments)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"{command}: {complaint}\n")


@pytest.mark.parametrize("command", [MONKEY, GREENLET])
def test_a_program_finds_its_folder_and_its_arguments(
    command: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("program")
    (folder / "beside.py").write_text("NAME = 'beside'\n")
    (folder / "program.py").write_text(
        "import sys, beside\nprint(__name__, beside.NAME, sys.argv[1:], sys.path[0])\n"
    )
    done = run(command, str(folder / "program.py"), "-x")
    assert done.stdout == f"__main__ beside ['-x'] {folder.resolve()}\n", done.stderr


@pytest.mark.parametrize("command", [MONKEY, GREENLET])
def test_what_its_package_asks_for_is_not_there(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("import no_such\n")
    (tmp_path / "package" / "part.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = run(command, "-m", "package.part")
    assert done.stderr.endswith("ModuleNotFoundError: No module named 'no_such'\n")


@pytest.mark.parametrize(
    ("command", "arguments", "complaint"),
    [
        (MONKEY, [], "usage: python -m pycoro.monkey "),
        (MONKEY, ["--no-such", "program"], "pycoro.monkey: unknown option --no-such\n\nusage: "),
        (MONKEY, ["--audit=never", "program"], "pycoro.monkey: --audit takes a number of "),
        (GREENLET, [], "usage: python -m pycoro.greenlet "),
    ],
)
def test_a_command_line_that_is_none(command: str, arguments: list[str], complaint: str) -> None:
    done = run(command, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(complaint)


def test_a_stack_size_that_cannot_be() -> None:
    done = run(GREENLET, "--stack-size", "3", "-c", "pass")
    assert done.returncode == 2
    assert "argument --stack-size: " in done.stderr and "Traceback" not in done.stderr


def test_an_extra_that_is_missing_is_named() -> None:
    done = run_python("import sys; sys.modules['httptools'] = None; import pycoro.pywsgi")
    assert "needs httptools: pip install 'pycoro[wsgi]'" in done.stderr.splitlines()[-1]


def test_ctrl_c_ends_the_main_job_without_a_traceback() -> None:
    done = run_python(
        """
        import sys
        from pycoro import __main__ as main

        def interrupted(*_):
            raise KeyboardInterrupt

        main.measure_pycoro = interrupted
        sys.exit(main.main(["--no-peers"]))
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def run_unread(*arguments: str, **environment: str) -> tuple[int, str]:
    """Exit code and stderr, where nobody reads stdout: as after `| head -1`, but from the start."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, *arguments],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "", **environment},
        cwd=ROOT,
    )
    os.close(writer)
    return done.returncode, done.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "command", ["pycoro --no-peers --clients 20 --messages 1", f"{MONKEY} --help"]
)
def test_nobody_reads_what_it_prints(command: str, unbuffered: str) -> None:
    assert run_unread("-m", *command.split(), PYTHONUNBUFFERED=unbuffered) == (1, "")


@pytest.mark.parametrize("command", ["pycoro", GREENLET, "pycoro.pywsgi", "bench.report"])
def test_nobody_reads_the_help_of_argparse(command: str) -> None:
    """Which itself takes an error for none, so where nothing is buffered, nobody sees one."""
    if command == "pycoro.pywsgi":
        pytest.importorskip("httptools")
    assert run_unread("-m", command, "--help") == (1, "")
    assert run_unread("-m", command, "--help", PYTHONUNBUFFERED="1") == (0, "")


@pytest.mark.parametrize("command", [[], ["-m", MONKEY], ["-m", GREENLET]])
def test_nobody_reads_what_somebodys_program_prints(command: list[str], tmp_path: Path) -> None:
    """That ends as ever."""
    program = tmp_path / "program.py"
    program.write_text("print('text')\n")
    code, err = run_unread(*command, str(program))
    assert code == 120
    assert err.startswith("Exception ignored") and err.endswith("[Errno 32] Broken pipe\n")
    code, err = run_unread(*command, str(program), PYTHONUNBUFFERED="1")
    assert code == 1
    assert err.startswith("Traceback") and err.endswith("[Errno 32] Broken pipe\n")
