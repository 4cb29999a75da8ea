"""Each program in examples/ runs on its own, ends well and prints what it is there to show.

What is decided by the program is compared line by line; figures that depend on the machine are
compared by shape.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import xml.etree.ElementTree
from collections.abc import Iterator
from pathlib import Path

import pytest

import pycoro

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
TESTED = Path(pycoro.__file__).parent.parent  # where the pycoro that is tested lies
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(TESTED), "MPLBACKEND": "Agg"}


def run(name: str, *arguments: str) -> list[str]:
    """The lines that the example prints; fails where it fails or complains."""
    done = subprocess.run(
        [sys.executable, EXAMPLES / f"{name}.py", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env=ENVIRONMENT,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


SHOPPING = [
    "Ada takes salt",
    "Ben takes bread",
    "Ada takes onions",
    "Ben takes butter",
    "Ada takes thyme",
    "Ben takes wine",
    "Ada leaves with salt, onions, thyme",
    "Ben leaves with bread, butter, wine",
]


@pytest.mark.parametrize("way", ["generators", "coroutines"])
def test_producer_and_consumers(way: str) -> None:
    assert run(f"producer_{way}") == SHOPPING


def test_three_coroutines() -> None:
    assert run("three_coroutines") == [
        "red starts, way so far: none",
        "green starts, way so far: red",
        "blue starts, way so far: red green",
        "red goes on, way so far: red green blue",
        "green goes on, way so far: red green blue red",
        "blue goes on, way so far: red green blue red green",
        "red goes on, way so far: red green blue red green blue",
        "red ends, which leads to its parent",
        "red: ended",
        "green: suspended in walk()",
        "blue: suspended in walk()",
    ]


def test_sleepers() -> None:
    *lines, total = run("sleepers")
    assert lines == [
        "Ann lies down for 0.3 s",
        "Bob lies down for 0.1 s",
        "Cat lies down for 0.2 s",
        "Bob wakes up",
        "Cat wakes up",
        "Ann wakes up",
        "Ann slept 0.3 s",
        "Bob slept 0.1 s",
        "Cat slept 0.2 s",
    ]
    assert re.fullmatch(r"all three: \d+\.\d s", total)


def test_ten_tasks() -> None:
    results = "[0, 1, 4, 9, 16, 25, 36, 49, 64, 81]"
    times = []
    for line, title in zip(run("ten_tasks"), ["in turn", "at once"], strict=True):
        match = re.fullmatch(rf"{title}: {re.escape(results)} in (\d+\.\d\d) s", line)
        assert match, line
        times.append(float(match[1]))
    assert times[0] >= 0.5  # ten waits of 50 ms cannot take less


def test_events() -> None:
    assert run("events") == [
        "key 'h': the text is 'h'",
        "key 'i': the text is 'hi'",
        "click on save",
        "saving 'hi'",
        "key '!': the text is 'hi!'",
        "nobody handles scroll",
        "click on field",
        "saved 'hi'",
        "the window closes with 'hi!'",
    ]


def test_downloads() -> None:
    *lines, total = run("downloads")
    assert lines[:3] == [f"asking for {name}" for name in ("a", "b", "c")]  # none waits for another
    assert sorted(lines[3:]) == [
        f"got 'this is /{name}' and so on: 11,000 bytes" for name in ("a", "b", "c")
    ]
    assert re.fullmatch(r"33,000 bytes in \d+\.\d s", total)


@pytest.fixture
def echo_server() -> Iterator[tuple[subprocess.Popen[str], int]]:
    command = [sys.executable, str(EXAMPLES / "echo_server.py"), "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as process:
        try:
            assert process.stdout
            match = re.fullmatch(r"listening on port (\d+)\n", process.stdout.readline())
            assert match
            yield process, int(match[1])
        finally:
            process.kill()


def test_echo_server(echo_server: tuple[subprocess.Popen[str], int]) -> None:
    process, port = echo_server
    with (
        socket.create_connection(("127.0.0.1", port), timeout=20) as first,
        socket.create_connection(("127.0.0.1", port), timeout=20) as second,
    ):
        second.sendall(b"second")  # while the first one says nothing
        assert second.recv(100) == b"second"
        first.sendall(b"first")
        assert first.recv(100) == b"first"
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=20)[0].splitlines()
    assert output[:2] == ["127.0.0.1 connected"] * 2
    assert output[-1] == "bye"
    assert process.returncode == 0


def clients(port: int) -> dict[str, list[str]]:
    return {
        "nc": ["nc", "-w", "20", "127.0.0.1", str(port)],
        "curl": ["curl", "--silent", "--max-time", "1", f"telnet://127.0.0.1:{port}"],
    }


@pytest.mark.parametrize("client", ["nc", "curl"])
def test_echo_server_by_a_real_client(
    client: str, echo_server: tuple[subprocess.Popen[str], int]
) -> None:
    if not shutil.which(client):
        pytest.skip(f"{client} is not installed")
    server, port = echo_server
    pipe = subprocess.PIPE
    with subprocess.Popen(clients(port)[client], stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin and process.stdout
        process.stdin.write("hello\nworld\n")
        process.stdin.close()
        assert [process.stdout.readline() for _ in range(2)] == ["hello\n", "world\n"]
        server.kill()  # which ends nc; curl sees no end, and waits for its second to be over
        assert process.stdout.read() == ""


def test_the_program_in_the_readme(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == 1
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    program = tmp_path / "program.py"
    program.write_text(blocks[0].replace("7000", str(port)))
    with subprocess.Popen([sys.executable, str(program)], env=ENVIRONMENT) as process:
        try:
            with connect_when_ready(port, process) as connection:
                connection.sendall(b"hello")
                assert connection.recv(100) == b"hello"
        finally:
            process.kill()


def connect_when_ready(port: int, process: subprocess.Popen[bytes]) -> socket.socket:
    """The program says nothing when it listens, so knocks until it opens, or has ended."""
    while process.poll() is None:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=20)
        except ConnectionRefusedError:
            time.sleep(0.02)
    raise AssertionError(f"the program ended with status {process.returncode}")


def test_three_servers(tmp_path: Path) -> None:
    lines = run("three_servers", "--seconds", "0.1", "--picture", str(tmp_path / "three"))
    rows = [re.match(r"(\w.*\w) +(\d+) +([\d,]+) +(\d+\.\d)  #*$", line) for line in lines[1:10]]
    assert [row and (row[1], int(row[2])) for row in rows] == [
        (title, number)
        for title in ("a process each", "a thread each", "an event loop")
        for number in (10, 40, 160)
    ]
    assert all(row and int(row[3].replace(",", "")) > 0 and float(row[4]) > 0 for row in rows)
    pictures = sorted(tmp_path.iterdir())
    if lines[10:] == ["no picture: matplotlib is not installed (pip install matplotlib)"]:
        assert pictures == []
    else:
        assert [picture.name for picture in pictures] == ["three.png", "three.svg"]
        assert pictures[0].read_bytes().startswith(b"\x89PNG")
        assert xml.etree.ElementTree.parse(pictures[1]).getroot().tag.endswith("svg")


def test_each_example_is_here() -> None:
    here = Path(__file__)
    text = here.read_text() + (here.parent / "test_chat.py").read_text()
    tested = set(re.findall(r'"(\w+?)(?:\.py)?"', text))
    for path in EXAMPLES.glob("*.py"):
        name = "producer_" if path.stem.startswith("producer_") else path.stem
        assert name in tested or f'f"{name}' in text, path
        assert path.read_text().startswith('"""')
