"""What a fuzzer begins with, and what it puts in: requests of all kinds, good and bad.

An input is two bytes and the rest: which application answers, how the bytes are cut into pieces,
and what comes on the connection.
"""

from __future__ import annotations

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED = b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

WIRE = [
    GET,
    GET * 3,
    b"\r\n\r\n" + GET,
    b"GET /a?b=c%20d HTTP/1.1\r\nHost: a:80\r\nA: b\r\nA: c\r\nCookie: x=y\r\nCookie: z\r\n\r\n",
    b"HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n" + GET,
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET http://b:81/p?q HTTP/1.1\r\nHost: a\r\n\r\n" + GET,
    b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\nraw",
    b"GET / HTTP/1.0\r\n\r\n" + GET,
    b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + GET,
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + GET,
    b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n folded\r\n\r\n",
    b"GET / HTTP/1.1\nHost: a\n\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab\ncd" + GET,
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n" + GET,
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\nshort",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc" + GET,
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc" + GET,
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    CHUNKED + b"3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n" + GET,
    CHUNKED + b"3\r\nabc\r\n0\r\nTrailer: x\r\n\r\n" + GET,
    CHUNKED + b"3\r\nabc\r\n0\r\nTrailer: x\4\r\n\r\n" + GET,
    CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n",
    CHUNKED + b"fffffffffffffffff\r\nabc",
    CHUNKED + b"-1\r\nabc\r\n0\r\n\r\n",
    CHUNKED + b"3\nabc\n0\n\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc" + GET,
    b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
    b"Content-Length: 4\r\n\r\nabcGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nExpect: other\r\nContent-Length: 3\r\n\r\nabc",
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nraw",
    b"POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"
    b"Content-Length: 3\r\n\r\nabc" + GET,
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # a TLS client's hello
]

SEEDS = [bytes((index % 6, index % 4)) + wire for index, wire in enumerate(WIRE)]
SEEDS += [bytes((app, way)) + wire for app in range(6) for way in (3, 128) for wire in WIRE]

WORDS = [
    *(b"GET ", b"HEAD ", b"POST ", b"CONNECT ", b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", b"\r\n\r\n"),
    *(b"Host: a\r\n", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"chunked"),
    *(b"Connection: close\r\n", b"Connection: keep-alive\r\n", b"Connection: upgrade\r\n"),
    *(b"Upgrade: x\r\n", b"Expect: 100-continue\r\n", b"0\r\n\r\n", b"1\r\na\r\n", b"\r\n", b"\n"),
    *(b"http://b/", b"%41", b"\t", b"; a=b\r\n", b": ", b"\0", b"\xff", b"ffffffffffffffff"),
]
