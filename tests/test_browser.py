"""examples/chat.py in a real browser: Chromium without a screen (apt-get install chromium), driven
by its DevTools protocol. What pages show is compared, and what the browser tells of its websockets.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import web  # noqa: F401  # skips all of this without httptools

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="chromium is missing: apt-get install chromium"
)
pytest.importorskip("wsproto", reason="wsproto is missing: pip install 'pycoro[servers]'")
websocket = pytest.importorskip(
    "websocket", reason="websocket-client is missing: pip install 'pycoro[servers]'"
)

from test_chat import Address, address  # noqa: E402
from test_prefork import eventually  # noqa: E402

__all__ = ["address"]

LONGEST = 60.0  # seconds


class Browser:
    """Its DevTools, by one websocket. `events`: what each tab has told of, by its session."""

    def __init__(self, url: str) -> None:
        self.socket = websocket.create_connection(url, timeout=LONGEST, suppress_origin=True)
        self.events: dict[str, list[tuple[str, Any]]] = {}
        self._count = 0

    def call(self, method: str, session: str | None = None, **params: Any) -> Any:
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        self.socket.send(
            json.dumps(message if session is None else {**message, "sessionId": session})
        )
        while True:
            answer = json.loads(self.socket.recv())
            if answer.get("id") == self._count:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            if "sessionId" in answer:
                told = (answer["method"], answer["params"])
                self.events.setdefault(answer["sessionId"], []).append(told)

    def open(self, url: str) -> str:
        """A tab; its session."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        session: str = attached["sessionId"]
        self.call("Network.enable", session)
        self.call("Page.enable", session)
        self.call("Page.navigate", session, url=url)
        return session

    def run(self, session: str, code: str) -> Any:
        """What the code gives in the page, a promise's value when it is there."""
        result = self.call(
            "Runtime.evaluate", session, expression=code, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def until(self, session: str, condition: str) -> Any:
        """Once the condition holds in the page, what it gives."""
        return self.run(
            session,
            "new Promise(done => { const look = () => { let found = false;"
            f"try {{ found = {condition}; }} catch (error) {{}}"
            "if (found) done(found); else setTimeout(look, 10); }; look(); })",
        )

    def frames(self, session: str, kind: str) -> list[str]:
        """What has been "Sent", or "Received", by the tab's websocket."""
        name = f"Network.webSocketFrame{kind}"
        return [
            params["response"]["payloadData"]
            for method, params in self.events.get(session, [])
            if method == name and params["response"]["opcode"] == 1
        ]


@pytest.fixture
def browser() -> Iterator[Browser]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        command = [
            *(str(CHROMIUM), "--headless", "--remote-debugging-port=0", "--disable-gpu"),
            *(f"--user-data-dir={folder}", "--no-first-run", "--disable-dev-shm-usage"),
            *("--disable-background-networking", "--disable-component-update", "--no-proxy-server"),
            *(["--no-sandbox"] if os.geteuid() == 0 else []),
        ]
        log, where = Path(folder, "log"), Path(folder, "DevToolsActivePort")
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            eventually(lambda: where.exists() or process.poll() is not None)
            assert process.poll() is None, f"Chromium has ended: {log.read_text()[-2000:]}"
            port, path = eventually(lambda: len(found := where.read_text().split()) == 2 and found)
            one = Browser(f"ws://127.0.0.1:{port}{path}")
            yield one
            one.call("Browser.close")
            process.wait(LONGEST)
        finally:
            process.kill()
            process.wait()


def test_two_tabs_talk(address: Address, browser: Browser) -> None:
    url = "http://{}:{}/".format(*address)
    first, second = browser.open(url), browser.open(url)
    for tab in (first, second):
        assert browser.until(tab, "socket.readyState === WebSocket.OPEN")
        assert browser.run(tab, "document.title") == "Chat"
    said = "<b>\N{GREEK SMALL LETTER PI} \N{WAVING HAND SIGN}"
    for number, (speaker, text) in enumerate([(first, said), (second, "and back")], 1):
        browser.run(
            speaker,
            f"document.querySelector('input').value = {json.dumps(text)};"
            "document.forms[0].requestSubmit()",
        )
        for tab in (first, second):
            shown = browser.until(
                tab,
                f"document.querySelectorAll('li').length === {number} &&"
                "[...document.querySelectorAll('li')].map(line => line.textContent)",
            )
            assert shown == ["and back", said][-number:]
    for tab, sent in ((first, said), (second, "and back")):
        statuses = [
            params["response"]["status"]
            for method, params in browser.events[tab]
            if method == "Network.webSocketHandshakeResponseReceived"
        ]
        assert statuses == [101]
        assert browser.frames(tab, "Sent") == [sent]
        assert browser.frames(tab, "Received") == [said, "and back"]
