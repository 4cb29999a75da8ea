"""`python -m tests.fuzz [--seconds N] [FILE...]`: atheris over pywsgi's connections.

atheris (of the extra `fuzz`) is libFuzzer for Python: it follows which lines of pycoro.pywsgi an
input comes to, and keeps those that come to new ones. An input for which something does not hold
(connection.py says what) ends the run; it is in the file that the last lines name, and
`python -m tests.fuzz FILE` plays it again, without atheris. After every thousand inputs there are
as many coroutines, descriptors, watches and timers as there were before.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--corpus", type=Path, help="a folder that is kept, to go on from")
    parser.add_argument("inputs", type=Path, nargs="*", metavar="FILE")
    options = parser.parse_args()
    if options.inputs:
        return replay(options.inputs)
    try:
        import atheris
    except ImportError:
        parser.error("atheris is missing: pip install 'pycoro[fuzz]'")
    with atheris.instrument_imports(include=["pycoro.pywsgi"]):
        import pycoro.pywsgi  # noqa: F401  # first, so that it is instrumented
    fuzz(atheris, options.seconds, options.corpus or Path(tempfile.mkdtemp(prefix="pycoro-fuzz-")))
    return 0


def replay(paths: list[Path]) -> int:
    from tests.fuzz.connection import Harness

    harness = Harness()
    for path in paths:
        print(harness.check(path.read_bytes()))
    harness.close()
    return 0


def fuzz(atheris: Any, seconds: int, corpus: Path) -> None:
    """Ends the process: with an error where an input has found one."""
    from tests.fuzz.connection import Harness
    from tests.fuzz.seeds import SEEDS, WORDS
    from tests.load import census

    found = Path(tempfile.mkdtemp(prefix="pycoro-fuzz-found-"))
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(SEEDS):
        (corpus / f"seed-{number:03}").write_bytes(seed)
    words = found / "words"
    words.write_text("".join(f'"{_escaped(word)}"\n' for word in WORDS))
    harness = Harness()
    count = 0
    before: dict[str, int] = {}

    def one(data: bytes) -> None:
        nonlocal count, before
        harness.check(data)
        count += 1
        if count % 1000 == 0:
            now = census()
            before = before or now
            assert now == before, f"after {count:,} inputs there are {now}, not {before}"

    arguments = [
        *(sys.argv[0], str(corpus), f"-max_total_time={seconds}", f"-dict={words}"),
        *(f"-artifact_prefix={found}/", "-max_len=2000", "-timeout=30", "-print_final_stats=1"),
    ]
    atheris.Setup(arguments, one)
    atheris.Fuzz()


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)


if __name__ == "__main__":
    sys.exit(main())
