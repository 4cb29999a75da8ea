"""`get_hub().resolver`: the look-ups of dns.py as methods of an object, as gevent has them."""

from __future__ import annotations

from . import dns
from .loop import Loop


class Resolver:
    """Looks names and addresses up, by the system's own means, in threads: there is no other kind
    here. Each method is as socket's function of its name. `hub` is gevent's, and of no use."""

    def __init__(self, hub: Loop | None = None) -> None:
        self.hub = hub

    gethostbyname = staticmethod(dns.gethostbyname)
    gethostbyname_ex = staticmethod(dns.gethostbyname_ex)
    getaddrinfo = staticmethod(dns.getaddrinfo)
    gethostbyaddr = staticmethod(dns.gethostbyaddr)
    getnameinfo = staticmethod(dns.getnameinfo)

    def close(self) -> None:
        """Does nothing: there is nothing that it keeps."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {id(self):#x}>"


Loop.resolver_class = Resolver
