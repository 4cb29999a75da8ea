"""Look-ups of names: in threads, as many as the loop's pool has, the same question once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from helpers import in_thread, output_of

import pycoro
from pycoro import dns, get_hub, get_loop, sleep, spawn


class Server:
    """In the place of the C library's functions: answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.gate = threading.Event()

    def answer(self, *question: Any) -> Any:
        self.asked.append(question)
        assert self.gate.wait(60)
        if question[0] == "unknown.example":
            raise OSError("no such name")
        return [question, ["10.0.0.1"]]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, clean_loop: None) -> Iterator[Server]:
    server = Server()
    for name in ("getaddrinfo", "gethostbyaddr", "gethostbyname", "gethostbyname_ex"):
        monkeypatch.setattr(dns, f"_{name}", server.answer)
    yield server
    server.gate.set()
    get_hub().threadpool.join()
    get_hub().threadpool.kill()
    sleep(0)
    assert (dns._asked, get_loop().foreign) == ({}, 0)


def test_the_same_question_is_asked_once_at_a_time(server: Server) -> None:
    tasks = [spawn(dns.gethostbyname, "a.example") for _ in range(5)]
    tasks += [spawn(dns.gethostbyname, "b.example")]
    sleep(0)
    server.gate.set()
    answers = [task.get() for task in tasks]
    assert sorted(server.asked) == [("a.example",), ("b.example",)]
    assert answers[0] == [("a.example",), ["10.0.0.1"]]
    assert answers[5] == [("b.example",), ["10.0.0.1"]]
    dns.gethostbyname("a.example")
    assert len(server.asked) == 3  # an answer is kept for nobody


def test_questions_that_differ_are_asked_each(server: Server) -> None:
    questions = [
        ("a.example", 80),
        ("a.example", 80.0),
        ("a.example", "80"),
        (b"a.example", 80),
        (bytearray(b"a.example"), 80),
        ("a.example", 81),
    ]
    tasks = [spawn(dns.getaddrinfo, *question) for question in questions]
    tasks.append(spawn(dns.getaddrinfo, "a.example", 80, type=1))
    sleep(0)
    server.gate.set()
    pycoro.joinall(tasks)
    assert len(server.asked) == len(tasks)


def test_each_has_lists_of_its_own(server: Server) -> None:
    first, second = (spawn(dns.gethostbyname_ex, "a.example") for _ in range(2))
    sleep(0)
    server.gate.set()
    mine = first.get()
    mine.clear()
    assert second.get() == [("a.example",), ["10.0.0.1"]]
    assert dns._copy(("name", [1], [2])) == ("name", [1], [2])
    inner: list[int] = []
    assert dns._copy((inner,))[0] is not inner


def test_an_error_is_everybodys(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    def ask() -> str:
        with pytest.raises(OSError, match="no such name"):
            dns.gethostbyname("unknown.example")
        return "told"

    tasks = [spawn(ask) for _ in range(3)]
    sleep(0)
    server.gate.set()
    assert [task.get() for task in tasks] == ["told"] * 3
    assert len(server.asked) == 1
    assert capsys.readouterr().err == ""


def test_who_has_asked_first_may_leave(server: Server) -> None:
    first, second = (spawn(dns.gethostbyname, "a.example") for _ in range(2))
    sleep(0)
    first.kill()
    server.gate.set()
    assert second.get() == [("a.example",), ["10.0.0.1"]]
    assert len(server.asked) == 1


def test_threads_share_an_answer(server: Server) -> None:
    first = spawn(dns.gethostbyname, "a.example")
    sleep(0)
    answers: list[Any] = []
    other = threading.Thread(target=lambda: answers.append(dns.gethostbyname("a.example")))
    other.start()
    (question,) = dns._asked.values()
    while question.linkcount() < 2:
        sleep(0.001)
    server.gate.set()
    other.join(60)
    assert answers == [first.get()]
    assert len(server.asked) == 1


def test_as_many_at_a_time_as_there_are_threads(server: Server) -> None:
    size = get_hub().threadpool.maxsize
    tasks = [spawn(dns.gethostbyname, f"{number}.example") for number in range(size + 5)]
    while len(server.asked) < size:
        sleep(0.001)
    assert (get_hub().threadpool.size, len(get_hub().threadpool)) == (size, size + 5)
    server.gate.set()
    pycoro.joinall(tasks)
    assert len(server.asked) == size + 5


def test_the_loop_is_not_at_an_end_while_a_question_is_asked(server: Server) -> None:
    log = []
    spawn(lambda: log.append(dns.gethostbyname("a.example")))
    sleep(0)
    assert get_hub().join(timeout=0.001) is False
    server.gate.set()
    assert get_hub().join() is True
    assert len(log) == 1


def test_where_no_thread_can_be_started(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(pycoro.workers, "_start_thread", fail)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            dns.gethostbyname("a.example")
    server.gate.set()
    assert dns.gethostbyname("a.example")


def test_what_needs_no_server_gets_no_thread(server: Server) -> None:
    server.gate.set()
    for host in ("127.0.0.1", "::1", "localhost", b"10.0.0.1", "", None):
        dns.getaddrinfo(host, 80)
    assert get_hub().threadpool.size == 0


def test_a_forked_child_asks_for_itself() -> None:
    assert output_of(
        """
        import os, threading
        from pycoro import dns, sleep, spawn

        gate = threading.Event()
        here = os.getpid()

        def answer(name):
            if os.getpid() == here:
                gate.wait(60)
            return f"answer to {name}"

        dns._gethostbyname = answer
        task = spawn(dns.gethostbyname, "a.example")
        sleep(0)
        child = os.fork()
        if not child:
            print("child", dns.gethostbyname("a.example"), flush=True)
            os._exit(0)
        os.waitpid(child, 0)
        gate.set()
        print("parent", task.get())
        """,
        "-Wignore",  # of forking with threads
    ) == ["child answer to a.example", "parent answer to a.example"]


def test_in_a_thread_that_has_no_loop(server: Server) -> None:
    server.gate.set()
    answer = in_thread(lambda: dns.gethostbyname("a.example"))
    assert answer == [("a.example",), ["10.0.0.1"]]


def test_a_wrong_address_is_refused_at_once(server: Server, monkeypatch: Any) -> None:
    monkeypatch.setattr(dns, "ask", None)  # no thread is asked
    with pytest.raises(TypeError):
        dns.getnameinfo("127.0.0.1", 0)
