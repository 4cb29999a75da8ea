"""pywsgi as it is used: Flask, Django, Bottle and a plain application, asked by curl, requests,
httpx, h11, openssl and wrk, by HTTP and HTTPS. What is not installed is skipped.

The extra for all of it: pip install 'pycoro[servers]'; programs: curl, openssl, wrk.
"""

from __future__ import annotations

import hashlib
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import web  # noqa: F401  # skips all of this without httptools
from test_prefork import eventually, free_port, running
from web import CERTIFICATE

DATA = Path(__file__).parent / "data"
UPLOAD = bytes(range(256)) * 4096 * 2  # 2 MiB
DESCRIBED = f"{len(UPLOAD)} {hashlib.sha256(UPLOAD).hexdigest()}"


def missing(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        shutil.which(program) is None, reason=f"{program} is missing: apt-get install {program}"
    )


def serve(*options: str) -> Iterator[str]:
    """The URL of a server of this module's own. It must have had no error at the end."""
    port = free_port()
    arguments = ["-m", "pycoro.pywsgi", "frameworks:app", "--chdir", str(DATA), *options]
    with running(*arguments, "-b", f"127.0.0.1:{port}") as process:
        eventually(lambda: socket.create_connection(("127.0.0.1", port)).close() or True)
        kind = "https" if "--certfile" in options else "http"
        yield f"{kind}://localhost:{port}"
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
        assert process.returncode == 0
        assert errors.count("Traceback") == errors.count("\nZeroDivisionError")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    yield from serve()


@pytest.fixture(scope="module")
def secure_url() -> Iterator[str]:
    yield from serve("--certfile", CERTIFICATE)


@pytest.fixture(params=["plain", "flask", "bottle", "django"])
def framework(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if name != "plain":
        pytest.importorskip(name, reason=f"{name} is missing: pip install 'pycoro[servers]'")
    return name


@pytest.mark.parametrize("secure", [False, True])
def test_requests(framework: str, secure: bool, request: pytest.FixtureRequest) -> None:
    requests = pytest.importorskip("requests", reason="pip install 'pycoro[servers]'")
    url = request.getfixturevalue("secure_url" if secure else "url")
    with requests.Session() as session:
        session.trust_env = False  # REQUESTS_CA_BUNDLE would be asked first
        session.verify = CERTIFICATE
        for _ in range(2):
            answer = session.get(f"{url}/{framework}/hello/world?q=5", timeout=30)
            assert (answer.status_code, answer.text) == (200, "hello world 5")
            assert "seen" in answer.cookies
        assert session.head(f"{url}/{framework}/hello/world", timeout=30).text == ""
        answer = session.get(f"{url}/{framework}/stream", timeout=30)
        assert answer.text == "all work and no play"
        answer = session.post(f"{url}/{framework}/upload", UPLOAD, timeout=30)
        assert answer.text == DESCRIBED
        if framework != "plain":
            answer = session.get(f"{url}/{framework}/file", timeout=30)
            assert answer.content == (DATA / "frameworks.py").read_bytes()


def test_uploads_in_chunks(framework: str, url: str) -> None:
    requests = pytest.importorskip("requests", reason="pip install 'pycoro[servers]'")
    if framework == "django":
        pytest.skip("Django reads no more than CONTENT_LENGTH says, with any server")
    pieces = (UPLOAD[start : start + 5000] for start in range(0, len(UPLOAD), 5000))
    answer = requests.post(f"{url}/{framework}/upload", pieces, timeout=30)
    assert answer.text == DESCRIBED


def test_an_application_that_fails(url: str) -> None:
    pytest.importorskip("flask", reason="pip install 'pycoro[servers]'")
    requests = pytest.importorskip("requests", reason="pip install 'pycoro[servers]'")
    with requests.Session() as session:
        assert session.get(f"{url}/flask/fail", timeout=30).status_code == 500
        assert session.get(f"{url}/flask/nothing", timeout=30).status_code == 404
        assert session.get(f"{url}/flask/hello/x", timeout=30).text == "hello x None"


def test_httpx(framework: str, url: str) -> None:
    httpx = pytest.importorskip("httpx", reason="pip install 'pycoro[servers]'")
    with httpx.Client(timeout=30) as client:
        for _ in range(2):
            answer = client.get(f"{url}/{framework}/hello/world?q=5")
            assert (answer.status_code, answer.text) == (200, "hello world 5")
        assert client.post(f"{url}/{framework}/upload", content=UPLOAD).text == DESCRIBED
        with client.stream("GET", f"{url}/{framework}/stream") as answer:
            assert "".join(answer.iter_text()) == "all work and no play"


def curl(*arguments: str) -> bytes:
    done = subprocess.run(
        ["curl", "--silent", "--show-error", "--fail", "--max-time", "30", *arguments],
        capture_output=True,
        check=True,
    )
    return done.stdout


@missing("curl")
def test_curl(framework: str, url: str, tmp_path: Path) -> None:
    file = tmp_path / "upload"
    file.write_bytes(UPLOAD)
    both = curl(f"{url}/{framework}/hello/[1-3]", "--write-out", " %{http_code} %{num_connects},")
    assert both == b"hello 1 None 200 1,hello 2 None 200 0,hello 3 None 200 0," or (
        framework == "plain" and both == b"hello 1  200 1,hello 2  200 0,hello 3  200 0,"
    )
    # So large a file is announced by Expect: 100-continue.
    assert curl(f"{url}/{framework}/upload", "--data-binary", f"@{file}").decode() == DESCRIBED
    upgrade = curl(f"{url}/{framework}/stream", "--http2")  # asks for an upgrade to h2c
    assert upgrade == b"all work and no play"
    assert curl(f"{url}/{framework}/stream", "--http1.0") == b"all work and no play"
    assert curl("--head", f"{url}/{framework}/hello/x").startswith(b"HTTP/1.1 200 OK\r\n")


@missing("curl")
def test_curl_by_https(secure_url: str) -> None:
    text = curl("--cacert", CERTIFICATE, f"{secure_url}/plain/hello/world")
    assert text == b"hello world "


@missing("openssl")
def test_openssl(secure_url: str) -> None:
    done = subprocess.run(
        [
            *("openssl", "s_client", "-quiet", "-verify_return_error"),
            *("-CAfile", CERTIFICATE, "-connect", secure_url.removeprefix("https://")),
        ],
        input=b"GET /plain/hello/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert done.stdout.endswith(b"\r\n\r\nhello x ")
    assert (done.returncode, b"unexpected eof" in done.stderr) == (0, False)


def test_h11_as_a_strict_peer(framework: str, url: str) -> None:
    h11 = pytest.importorskip("h11", reason="pip install 'pycoro[servers]'")
    host, port = url.removeprefix("http://").split(":")
    client = h11.Connection(h11.CLIENT)
    seen = []
    with socket.create_connection((host, int(port)), timeout=30) as sock:
        for method, target, body in (
            ("GET", "hello/a", b""),
            ("HEAD", "hello/a", b""),
            ("GET", "stream", b""),
            ("POST", "upload", UPLOAD[:1000]),
        ):
            headers = [("Host", host), ("Content-Length", str(len(body)))]
            request = h11.Request(method=method, target=f"/{framework}/{target}", headers=headers)
            for event in (request, h11.Data(body), h11.EndOfMessage()):
                sock.sendall(client.send(event) or b"")
            answer: Any = []
            while type(event := client.next_event()) is not h11.EndOfMessage:
                if event is h11.NEED_DATA:
                    client.receive_data(sock.recv(65536))
                else:
                    answer.append(event)
            seen.append(
                (answer[0].status_code, b"".join(bytes(part.data) for part in answer[1:])[:8])
            )
            client.start_next_cycle()
    assert seen == [
        *((200, b"hello a "), (200, b""), (200, b"all work"), (200, b"1000 " + seen[3][1][5:]))
    ]


@missing("wrk")
def test_wrk_finds_no_fault(url: str) -> None:
    done = subprocess.run(
        ["wrk", "-t1", "-c50", "-d1s", f"{url}/plain/hello/x"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "requests in" in done.stdout
    assert "Non-2xx" not in done.stdout and "Socket errors" not in done.stdout
