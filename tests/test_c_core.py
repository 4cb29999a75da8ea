"""The C library's own tests, without Python, in their quick form.

.ci/run has them in full, and under the sanitizers and valgrind (tests/c/Makefile).
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent / "c"


@pytest.mark.skipif(not shutil.which("make"), reason="needs make")
@pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler named cc")
def test_the_c_library_without_python(tmp_path: Path) -> None:
    csrc = HERE.parent.parent / "csrc"
    target = tmp_path / "tests" / "c"
    shutil.copytree(HERE, target, ignore=shutil.ignore_patterns("build"))
    shutil.copytree(csrc, tmp_path / "csrc", ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run(
        ["make", "--no-print-directory", "-k", f"-j{os.cpu_count()}", "check"],
        cwd=target,
        env={**os.environ, "QUICK": "1", "MAKEFLAGS": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    verdicts = [line for line in done.stdout.splitlines() if " passed, " in line]
    assert done.returncode == 0, done.stdout
    # Each of the programs, stack twice, with each of the ways to switch.
    assert len(verdicts) in (6, 12), done.stdout
    assert all(line.endswith(" 0 failed") for line in verdicts), done.stdout
