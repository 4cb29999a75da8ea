"""The head of a request: what it says, and what is refused.

llhttp parses, by httptools, and is strict on line ends, names, values, lengths and transfer codings
by itself. What it lets pass, and a server must not, is refused here: other versions of HTTP, a
second Host or none, a transfer coding in HTTP/1.0, more than the limits. It gets one head at a
time, and nothing after that; so where a request ends is decided in one place, by its length
(RFC 9112, section 6).
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote_to_bytes

import httptools  # type: ignore[import-not-found,unused-ignore]

_VERSIONS = {b"HTTP/1.1": "HTTP/1.1", b"HTTP/1.0": "HTTP/1.0"}
# RFC 3986: what an authority may consist of.
_is_host = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=%:\[\]-]*").fullmatch
# A list, whose elements may come in several fields: RFC 9110, section 5.3. Of those, one is enough.
_SINGLE = {"HTTP_HOST", "CONTENT_LENGTH", "CONTENT_TYPE", "HTTP_TRANSFER_ENCODING"}
_MOST_KEPT = 1000
_keys: dict[bytes, str | None] = {b"Host": "HTTP_HOST"}  # of environ, by names as they come


class BadRequest(OSError):
    """The client's fault: `status` is to be the answer, and the connection closed. Reading
    wsgi.input raises it where the body is bad."""

    def __init__(self, status: str, why: str) -> None:
        super().__init__(why)
        self.status = status


def bad(why: str) -> BadRequest:
    """400"""
    return BadRequest("400 Bad Request", why)


def key_of(name: bytes) -> str | None:
    """The key of environ for a header's name; None for one with an underscore, which could pass
    for another's."""
    if b"_" in name:
        key = None
    else:
        key = name.decode("latin-1").upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
    if len(_keys) < _MOST_KEPT:
        _keys[name] = key
    return key


class Head:
    """A connection's parser. parse() fills in the rest, and a request's `headers` by keys of
    environ; it is good for all its requests."""

    __slots__ = (
        "_fault",
        "_feed",
        "_fields",
        "_host",
        "_last",
        "_split",
        "chunked",
        "close",
        "expects",
        "headers",
        "length",
        "line",
        "method",
        "target",
        "upgrade",
        "version",
    )

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.method = self.target = self.version = ""
        self.line = b""  # the first one, for logs
        self.length = 0  # bytes of the body, where it is not chunked
        self.chunked = False
        self.close = True  # after the response
        self.expects = False  # is a 100 Continue expected?
        self.upgrade = False  # to another protocol
        self._fault: BadRequest | None = None
        self._fields = 0
        self._feed: Any = None
        self._last = b""  # a whole head, whose request had no body
        self._split: tuple[str, str] | None = None
        self._host = ""  # a good one, that the last request had

    def on_header(self, name: bytes, value: bytes) -> None:
        """httptools' callback. What it raises would be lost: see `_fault`."""
        try:
            key = _keys[name]
        except KeyError:
            key = key_of(name)
        self._fields += 1
        if key is None:
            return
        headers = self.headers
        if key not in headers:
            headers[key] = value.decode("latin-1").rstrip(" \t")
        elif key in _SINGLE:
            self._fault = bad(f"more than one {name.decode('latin-1')}")
        else:
            separator = "; " if key == "HTTP_COOKIE" else ","
            headers[key] += separator + value.decode("latin-1").rstrip(" \t")

    def parse(self, head: bytes, max_headers: int) -> None:
        """`head` ends with an empty line. Clients often ask the same again: then it is known what
        that says. Errors: BadRequest."""
        if head == self._last:
            self.line = head[: head.find(b"\r\n")]
            return
        self._last = b""
        self._split = None
        headers = self.headers = {}
        self._fault = None
        self._fields = 0
        self.upgrade = False
        self.method = self.version = ""
        feed = self._feed
        if feed is None:
            feed = self._feed = httptools.HttpRequestParser(self).feed_data
        self.line = line = head[: head.find(b"\r\n")]
        words = line.split(b" ")
        version = _VERSIONS.get(words[-1])
        if version is None or len(words) != 3 or line[0] < 32:  # llhttp passes over those
            raise _bad_line(words, known=version is not None)
        try:
            feed(head)
        except httptools.HttpParserUpgrade:
            self.upgrade = True
            self._feed = None  # it has no eyes for HTTP any more
        except httptools.HttpParserError as error:
            self._feed = None
            raise bad(str(error)) from None
        if self._fault is not None:
            raise self._fault
        if self._fields > max_headers:
            raise BadRequest("431 Request Header Fields Too Large", f"{self._fields} headers")
        self.version = version
        self.method = words[0].decode("latin-1")
        self.target = words[1].decode("latin-1")
        host = headers.get("HTTP_HOST")
        if host is None:
            if version == "HTTP/1.1":
                raise bad("no Host")
        elif host != self._host:
            if not _is_host(host):
                raise bad(f"{host!r} is no Host")
            self._host = host
        connection = headers.get("HTTP_CONNECTION")
        if connection is None:
            self.close = version == "HTTP/1.0"
        else:
            options = [option.strip() for option in connection.lower().split(",")]
            self.close = "close" in options or (
                version == "HTTP/1.0" and "keep-alive" not in options
            )
        self.length = 0
        self.chunked = self.expects = False
        if "CONTENT_LENGTH" in headers or "HTTP_TRANSFER_ENCODING" in headers:
            self._measure()
        if "HTTP_EXPECT" in headers:
            self._look_at_expectation()
        if self._feed is not None:  # the parser is where it was: no body, no upgrade
            self._last = head

    def _measure(self) -> None:
        """How long is the body? There is one, so the parser waits for it."""
        self._feed = None
        coding = self.headers.get("HTTP_TRANSFER_ENCODING")
        if coding is None:
            self.length = int(self.headers["CONTENT_LENGTH"])  # llhttp: digits, and one field
            return
        if self.version == "HTTP/1.0":
            raise bad("Transfer-Encoding in HTTP/1.0")
        if not coding:
            raise bad("an empty Transfer-Encoding")
        if coding.lower() != "chunked":
            raise BadRequest("501 Not Implemented", f"Transfer-Encoding: {coding}")
        self.chunked = True

    def _look_at_expectation(self) -> None:
        if self.headers["HTTP_EXPECT"].lower() != "100-continue":
            raise BadRequest("417 Expectation Failed", self.headers["HTTP_EXPECT"])
        self.expects = self.version == "HTTP/1.1" and (self.chunked or self.length > 0)

    def split_target(self) -> tuple[str, str]:
        """(PATH_INFO, QUERY_STRING). Where the target names a host as well, that is the Host: RFC
        9112, section 3.2.2. Errors: BadRequest."""
        if self._split is not None:
            return self._split
        target = self.target
        if target[0] != "/" and target != "*" and self.method != "CONNECT":
            try:
                url = httptools.parse_url(target.encode("latin-1"))
            except httptools.HttpParserError:
                raise bad(f"{target!r} is no target") from None
            if url.host is None:
                raise bad(f"{target!r} is no target")
            host = url.host.decode("latin-1")
            host = f"[{host}]" if ":" in host else host
            self.headers["HTTP_HOST"] = host if url.port is None else f"{host}:{url.port}"
            target = (url.path or b"/").decode("latin-1")
            if url.query is not None:
                target += "?" + url.query.decode("latin-1")
        path, _, query = target.partition("?")
        if "%" in path:
            path = unquote_to_bytes(path).decode("latin-1")
        self._split = path, query
        return self._split


def _bad_line(words: list[bytes], known: bool) -> BadRequest:
    line = b" ".join(words)[:100].decode("latin-1")
    if len(words) == 3 and not known and re.fullmatch(rb"HTTP/[0-9]+\.[0-9]+", words[2]):
        return BadRequest("505 HTTP Version Not Supported", f"{line!r}: only HTTP/1.0 and 1.1")
    return bad(f"{line!r} is no request")
