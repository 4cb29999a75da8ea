"""The server in C of ceiling.c: what the kernel and the client leave to be reached.

A ratio to a peer has no upper end to be read from; this one's figure is where it is. It is compiled
when it starts, and is not there without a C compiler, nor over TLS without OpenSSL's headers.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

NAME = "bare C"
_SOURCE = Path(__file__).with_name("ceiling.c")


@cache
def exists(mode: str) -> bool:
    """Can it be compiled here for that mode of echo_server.py?"""
    return shutil.which("cc") is not None and _compile(Path(os.devnull), mode)


def become(mode: str, certificate: Path, response: bytes) -> None:
    """Replaces the running process by it; it prints its port. Errors: RuntimeError where it cannot
    be compiled."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "ceiling"
        if not _compile(path, mode):
            raise RuntimeError(f"{_SOURCE.name} cannot be compiled here for {mode}")
        program = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    os.execve(program, ["ceiling", mode, str(certificate), response], os.environ)


def _compile(output: Path, mode: str) -> bool:
    with_tls = ["-DWITH_TLS", "-lssl", "-lcrypto"] if mode == "tls" else []
    command = ["cc", "-O2", str(_SOURCE), *with_tls, "-o", str(output)]
    return subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 0
