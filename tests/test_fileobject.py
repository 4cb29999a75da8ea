"""File objects that wait cooperatively, by their descriptor or by threads."""

from __future__ import annotations

import fcntl
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import output_of

from pycoro import sleep, spawn
from pycoro.fileobject import FileObject, FileObjectPosix, FileObjectThread

KINDS = [FileObjectPosix, FileObjectThread]


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for fd in ends:
        try:
            os.close(fd)
        except OSError:  # the test has closed it
            pass


def blocks(fd: int) -> bool:
    return not fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK


def test_closing_makes_no_loop() -> None:
    """Whose descriptors might get the very number, where that had been closed already."""
    assert (
        output_of("""
import os, pycoro
from pycoro.fileobject import FileObjectPosix
ends = os.pipe()
files = [FileObjectPosix(end) for end in ends]
for end in ends:
    os.close(end)
for file in files:
    try:
        file.close()
    except OSError as error:
        print(error)
pycoro.sleep(0)
""")
        == ["[Errno 9] Bad file descriptor"] * 2
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_pipe_of_text_is_read_while_others_run(kind: Any, pipe: tuple[int, int]) -> None:
    reader, writer = kind(pipe[0], "r"), kind(pipe[1], "w")
    reading = spawn(reader.readline)
    sleep(0)
    assert not reading.ready()
    writer.write("hello\nworld\nend")
    writer.flush()
    assert reading.get() == "hello\n"
    writer.close()
    assert (list(reader), reader.read()) == (["world\n", "end"], "")
    reader.close()
    assert reader.closed and writer.closed
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(pipe[0])


@pytest.mark.parametrize("kind", KINDS)
def test_more_than_a_pipe_holds_goes_through(kind: Any, pipe: tuple[int, int]) -> None:
    data = os.urandom(1_000_000)

    def write() -> None:
        with kind(pipe[1], "wb") as writer:
            writer.write(data)

    writing = spawn(write)
    with kind(pipe[0], "rb") as reader:
        assert reader.read() == data
    assert writing.join(30) and writing.successful()


def test_unbuffered(pipe: tuple[int, int]) -> None:
    with FileObject(pipe[0], "rb", 0) as reader, FileObject(pipe[1], "wb", bufsize=0) as writer:
        assert writer.write(b"abc") == 3
        assert reader.read(2) == b"ab"
        buffer = bytearray(5)
        assert (reader.readinto(buffer), buffer) == (1, bytearray(b"c\0\0\0\0"))
        assert (reader.readable(), reader.writable(), reader.seekable()) == (True, False, False)
        with pytest.raises(io.UnsupportedOperation):
            reader.write(b"x")


def test_close_wakes_who_reads(pipe: tuple[int, int]) -> None:
    reader = FileObject(pipe[0], "rb", 0)
    reading = spawn(reader.read, 1)
    sleep(0)
    reader.close()
    with pytest.raises(OSError, match="closed"):
        reading.get()
    with pytest.raises(ValueError, match="closed file"):
        reader.read(1)
    reader.close()


def test_two_readers_of_one_buffer_are_told(pipe: tuple[int, int]) -> None:
    reader = FileObject(pipe[0], "rb")
    first = spawn(reader.read)
    sleep(0)
    with pytest.raises(RuntimeError, match="reentrant"):
        reader.read()
    os.close(pipe[1])
    assert first.get() == b""
    reader.close()


@pytest.mark.parametrize("kind", KINDS)
def test_regular_files_by_path_object_and_descriptor(kind: Any, tmp_path: Path) -> None:
    path = tmp_path / "file"
    with kind(path, "w", encoding="utf-8", newline="\r\n") as file:
        file.write("one\ntwo ü\n")
    assert path.read_bytes() == "one\r\ntwo ü\r\n".encode()
    with kind(str(path), "rb") as file:
        assert file.readlines() == [b"one\r\n", "two ü\r\n".encode()]
    with kind(path.open("rb"), "rb") as file:
        assert file.seek(5) == 5
        assert file.read(3) == b"two"
    with kind(path, "r+b") as file:
        file.seek(0, os.SEEK_END)
        file.write(b"end")
        file.seek(0)
        assert file.read().endswith(b"\r\nend")
        assert file.truncate(3) == 3
    assert path.read_bytes() == b"one"
    with pytest.raises(FileNotFoundError):
        kind(tmp_path / "missing", "r")


def test_the_descriptor_is_left_as_it_was(pipe: tuple[int, int]) -> None:
    assert blocks(pipe[0])
    reader = FileObject(pipe[0], "rb", closefd=False)
    assert not blocks(pipe[0])
    reader.close()
    assert blocks(pipe[0])
    os.fstat(pipe[0])


def test_the_owner_of_a_descriptor_is_closed_with_it() -> None:
    ends = os.pipe()
    opened = os.fdopen(ends[0], "rb"), os.fdopen(ends[1], "wb")
    for owner, mode in zip(opened, ("rb", "wb"), strict=True):
        FileObject(owner, mode).close()
        assert owner.closed


def test_bad_arguments(pipe: tuple[int, int]) -> None:
    for mode in ("x+y", "rw", "", "q"):
        if mode:
            with pytest.raises(ValueError, match="invalid mode"):
                FileObject(pipe[0], mode)
    with pytest.raises(ValueError, match="unbuffered text"):
        FileObject(pipe[0], "r", 0)
    with pytest.raises(ValueError, match="binary mode takes no encoding"):
        FileObject(pipe[0], "rb", encoding="ascii")
    with pytest.raises(TypeError, match="a path, a descriptor or a file"):
        FileObject(object())
    os.fstat(pipe[0])
