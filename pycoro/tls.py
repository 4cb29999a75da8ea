"""TLS for servers: contexts from gevent's keyword arguments, and the beginning and end of a
connection."""

from __future__ import annotations

import ssl as _stdlib
from typing import Any

from .ssl import SSLContext, SSLSocket

_CONTEXT_ARGS = ("keyfile", "certfile", "cert_reqs", "ssl_version", "ca_certs", "ciphers")
_SOCKET_ARGS = (
    *("server_side", "server_hostname", "suppress_ragged_eofs", "do_handshake_on_connect"),
    "session",
)


def take_context(ssl_args: dict[str, Any]) -> Any:
    """The context that a server's keyword arguments name, or describe as ssl.wrap_socket() had
    them; what is left in `ssl_args` afterwards is for wrap(). Errors: TypeError for names that
    are not known, or that do not go with a context; those of ssl.SSLContext."""
    unknown = ssl_args.keys() - {"ssl_context", *_CONTEXT_ARGS, *_SOCKET_ARGS}
    if unknown:
        raise TypeError(f"a server has no argument {', '.join(sorted(unknown))}")
    ssl_args.setdefault("server_side", True)
    given = {name: ssl_args.pop(name) for name in _CONTEXT_ARGS if name in ssl_args}
    context = ssl_args.pop("ssl_context", None)
    if context is None:
        return make_context(**given)
    if given:
        raise TypeError(f"{', '.join(given)}: with ssl_context, this is the context's own")
    return context


def make_context(
    keyfile: Any = None,
    certfile: Any = None,
    cert_reqs: int = _stdlib.CERT_NONE,
    ssl_version: int | None = None,
    ca_certs: Any = None,
    ciphers: str | None = None,
) -> SSLContext:
    """For a server. Errors: ValueError without a certificate; those of ssl.SSLContext."""
    if certfile is None:
        raise ValueError("certfile must be given for TLS: a server needs a certificate")
    context = SSLContext(_stdlib.PROTOCOL_TLS_SERVER if ssl_version is None else ssl_version)
    context.verify_mode = _stdlib.VerifyMode(cert_reqs)
    if ca_certs is not None:
        context.load_verify_locations(ca_certs)
    context.load_cert_chain(certfile, keyfile)
    if ciphers is not None:
        context.set_ciphers(ciphers)
    return context


def wrap(context: Any, sock: Any, **kwargs: Any) -> Any:
    """context.wrap_socket(sock, **kwargs), and the socket lets other tasks run, whosever context
    it is. Errors: OSError of the handshake, ssl.SSLError among them."""
    # What SSLContext.wrap_socket() calls.
    return SSLSocket._create(sock=sock, context=context, **kwargs)


def say_goodbye(sock: Any) -> None:
    """Tells the peer that this is the end, which it may take a mere end for an attack otherwise.
    Waits for nothing, and never fails."""
    try:
        sock.settimeout(0.0)
        sock.unwrap()
    except (OSError, ValueError, AttributeError):
        pass
