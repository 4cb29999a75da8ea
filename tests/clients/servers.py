"""Servers for a test: each on a free port of 127.0.0.1, its files in a folder that goes with it.

None runs as a service of the system: a server is a child process, ended by its process id. Those
that refuse to run as root get another user. Where one does not come up, the test fails with the end
of its log.
"""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PATIENCE = 60.0  # seconds until a server listens, or has ended


@contextmanager
def folder_for(user: str | None) -> Iterator[Path]:
    """A folder that the user may enter and write, as those of pytest's may not."""
    with tempfile.TemporaryDirectory(prefix="pycoro-clients-", ignore_cleanup_errors=True) as name:
        if user is not None:
            shutil.chown(name, user)
        yield Path(name)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]  # type: ignore[no-any-return]


def other_user(*names: str) -> str | None:
    """Root's servers run as one of these; anybody else's as himself, which is None."""
    if os.geteuid() != 0:
        return None
    known = {line.split(":")[0] for line in Path("/etc/passwd").read_text().splitlines()}
    return next(name for name in (*names, "nobody") if name in known)


def as_user(user: str | None) -> dict[str, Any]:
    return {} if user is None else {"user": user, "group": user_group(user), "extra_groups": []}


def user_group(user: str) -> int:
    lines = (line.split(":") for line in Path("/etc/passwd").read_text().splitlines())
    return next(int(fields[3]) for fields in lines if fields[0] == user)


def prepare(command: list[str], folder: Path, user: str | None = None) -> None:
    """Runs what has to be done before a server can start."""
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=120, **as_user(user)
    )
    assert done.returncode == 0, f"{command[0]}: {done.stdout[-1000:]}{done.stderr[-2000:]}"


@contextmanager
def running(
    command: list[str],
    folder: Path,
    port: int,
    user: str | None = None,
    stop: signal.Signals = signal.SIGTERM,
    environment: dict[str, str] | None = None,
    ready: list[str] | None = None,
) -> Iterator[None]:
    """The server listens on the port in the block, and has ended after it, with what it may have
    started itself. `environment`: what is added to ours; `ready`: a command that succeeds when it
    is, for one that listens before."""
    log = folder / "log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **as_user(user),
        )
    try:
        wait_for(server, partial(listens, port), log)
        if ready is not None:
            wait_for(server, partial(succeeds, ready), log)
        yield
    finally:
        server.send_signal(stop)
        try:
            server.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def wait_for(server: subprocess.Popen[bytes], is_ready: Callable[[], bool], log: Path) -> None:
    """By asking again and again: what they say when it is so is each one's own, if they do."""
    deadline = time.monotonic() + PATIENCE
    while not is_ready():
        ended = server.poll() is not None
        if ended or time.monotonic() > deadline:
            how = f"ended with {server.returncode}" if ended else "does not come up"
            raise AssertionError(
                f"{server.args!r} {how}:\n{log.read_text(errors='replace')[-3000:]}"
            )
        time.sleep(0.02)


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


def succeeds(command: list[str]) -> bool:
    return subprocess.run(command, timeout=PATIENCE).returncode == 0


# ---- those of Debian ----


@contextmanager
def redis() -> Iterator[tuple[int, Path]]:
    port = free_port()
    with folder_for(None) as folder:
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
        with running([*command, "--dir", str(folder)], folder, port):
            yield port, folder


def postgresql_program(name: str) -> str | None:
    """Debian has them beside the path, in a folder for each version."""
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(versions[-1]) if versions else shutil.which(name)


@contextmanager
def postgresql() -> Iterator[tuple[int, Path]]:
    found = map(postgresql_program, ("initdb", "postgres", "pg_isready"))
    initdb, postgres, ready = (program or "" for program in found)
    port, user = free_port(), other_user("postgres")
    settings = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "max_connections": "250",
        "fsync": "off",
    }
    with folder_for(user) as folder:
        data = str(folder / "data")
        options = ["--auth=trust", "--username=pycoro", "--no-sync", "--no-locale"]
        prepare([initdb, *options, "--pgdata", data], folder, user)
        command = [postgres, "-D", data, "-p", str(port)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        ask = [ready, "--host=127.0.0.1", f"--port={port}", "--quiet"]
        with running(command, folder, port, user, signal.SIGINT, ready=ask):
            yield port, folder


@contextmanager
def mariadb() -> Iterator[tuple[int, Path]]:
    port, user = free_port(), other_user("mysql")
    with folder_for(user) as folder:
        data = [f"--datadir={folder}/data"]
        root = ["--auth-root-authentication-method=normal", "--skip-test-db"]
        prepare(["mariadb-install-db", "--no-defaults", *data, *root], folder, user)
        command = ["mariadbd", "--no-defaults", *data, f"--port={port}", "--bind-address=127.0.0.1"]
        command += ["--max-connections=250", "--back-log=250", f"--socket={folder}/socket"]
        command += [f"--pid-file={folder}/pid", "--skip-networking=off", "--skip-name-resolve"]
        with running(command, folder, port, user):
            yield port, folder


@contextmanager
def rabbitmq() -> Iterator[tuple[int, Path]]:
    """With a port mapper of Erlang's, epmd, of its own, which it would start for good otherwise."""
    port, mapper, user = free_port(), free_port(), other_user("rabbitmq")
    with folder_for(user) as folder:
        environment = {
            "HOME": str(folder),  # has the secret that Erlang's nodes share
            "ERL_EPMD_PORT": str(mapper),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_AFLAGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_NODENAME": f"pycoro-{port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": f"{folder}/data",
            "RABBITMQ_LOG_BASE": f"{folder}/logs",
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": f"{folder}/pid",
            # None of these is there.
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
            "RABBITMQ_CONF_ENV_FILE": f"{folder}/environment",
            "RABBITMQ_CONFIG_FILE": f"{folder}/settings",
            "RABBITMQ_CONFIG_FILES": f"{folder}/settings.d/*.conf",
            "RABBITMQ_ADVANCED_CONFIG_FILE": f"{folder}/advanced",
        }
        beside = folder / "epmd"
        beside.mkdir()
        command = ["epmd", "-port", str(mapper), "-address", "127.0.0.1"]
        with running(command, beside, mapper, user):
            # Not the one on the path, which wants to be root, or rabbitmq in its own home.
            command = ["/usr/lib/rabbitmq/bin/rabbitmq-server"]
            with running(command, folder, port, user, environment=environment):
                yield port, folder


SSHD = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/key.pub
PidFile {folder}/pid
StrictModes no
UsePAM no
PasswordAuthentication no
MaxStartups 300
MaxSessions 250
SetEnv HOME={folder}
"""
# HOME: the shell of a command would read what is in the real one.


@contextmanager
def sshd() -> Iterator[tuple[int, Path]]:
    program = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:" + os.defpath)
    assert program is not None
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # its service would make it
    port = free_port()
    with folder_for(None) as folder:
        for key in ("host", "key"):
            prepare(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], folder)
        folder.chmod(0o755)
        (folder / "user").write_text(getpass.getuser())
        (folder / "config").write_text(SSHD.format(port=port, folder=folder))
        with running([program, "-D", "-e", "-f", f"{folder}/config"], folder, port):
            yield port, folder


# ---- our own ----


@contextmanager
def delayed(kind: str) -> Iterator[tuple[int, Path]]:
    """One of delayed.py."""
    port = free_port()
    with folder_for(None) as folder:
        command = [sys.executable, str(HERE / "delayed.py"), kind, str(port)]
        with running(command, folder, port):
            yield port, folder
