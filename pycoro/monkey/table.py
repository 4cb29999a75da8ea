"""What is replaced by what: the one table of the patches.

A replaced name is seen by who looks it up in its module afterwards, as the module's own functions
do: create_connection() need not be replaced where `socket` is. So the table is short. TLS contexts
are not replaced but told which sockets to make: those made before, or imported by name, work.
"""

from __future__ import annotations

import threading
from typing import Any

from .. import dns, os, queue, select, socket, ssl, subprocess, thread, time
from .. import local as _local

# patch -> (where, name, replacement); `where` is a module, or a class in one. Of `thread` not all
# names are there in each version of CPython.
TABLE: dict[str, list[tuple[str, str, Any]]] = {
    "socket": [
        ("socket", "socket", socket.socket),
        ("socket", "fromfd", socket.fromfd),
        ("socket", "socketpair", socket.socketpair),
    ],
    "dns": [
        ("socket", "getaddrinfo", dns.getaddrinfo),
        ("socket", "gethostbyname", dns.gethostbyname),
        ("socket", "gethostbyname_ex", dns.gethostbyname_ex),
        ("socket", "gethostbyaddr", dns.gethostbyaddr),
        ("socket", "getnameinfo", dns.getnameinfo),
    ],
    "ssl": [
        ("ssl:SSLContext", "sslsocket_class", ssl.SSLSocket),
    ],
    "time": [
        ("time", "sleep", time.sleep),
    ],
    "select": [
        ("select", "select", select.select),
        ("select", "poll", select.poll),
        ("select", "epoll", select.epoll),
        ("selectors:PollSelector", "_selector_cls", select.poll),
        ("selectors:EpollSelector", "_selector_cls", select.epoll),
        ("selectors:SelectSelector", "_select", staticmethod(select.select)),
    ],
    "os": [
        ("os", "waitpid", os.waitpid),
    ],
    "subprocess": [
        ("subprocess", "Popen", subprocess.Popen),
    ],
    "queue": [
        ("queue", "SimpleQueue", queue.SimpleQueue),
    ],
    "thread": [
        ("_thread", "allocate_lock", thread.allocate_lock),
        ("_thread", "allocate", thread.allocate_lock),
        ("_thread", "LockType", thread.LockType),
        ("_thread", "lock", thread.LockType),
        ("_thread", "RLock", thread.RLock),
        ("_thread", "get_ident", thread.get_ident),
        ("_thread", "_local", _local.local),
        ("_thread", "start_new_thread", thread.start_new_thread),
        ("_thread", "start_new", thread.start_new_thread),
        ("_thread", "start_joinable_thread", thread.start_joinable_thread),
        ("_thread", "_ThreadHandle", thread.ThreadHandle),
        ("_thread", "_make_thread_handle", thread._make_thread_handle),
        ("_thread", "_count", thread._count),
        ("_thread", "interrupt_main", thread.interrupt_main),
        ("_thread", "_set_sentinel", thread.set_sentinel),
        ("threading", "_allocate_lock", thread.allocate_lock),
        ("threading", "Lock", thread.LockType),
        ("threading", "_LockType", thread.LockType),
        ("threading", "_CRLock", thread.RLock),
        ("threading", "get_ident", thread.get_ident),
        ("threading", "local", _local.local),
        ("threading", "_start_new_thread", thread.start_new_thread),
        ("threading", "_start_joinable_thread", thread.start_joinable_thread),
        ("threading", "_ThreadHandle", thread.ThreadHandle),
        ("threading", "_make_thread_handle", thread._make_thread_handle),
        ("threading", "_get_main_thread_ident", thread._get_main_thread_ident),
        ("threading", "_set_sentinel", thread.set_sentinel),
        ("threading", "_thread_shutdown", thread.shutdown),
        ("threading", "excepthook", thread.excepthook),
        ("threading", "_thread_local_info", _local.local()),
        ("threading:Thread", "_wait_for_tstate_lock", thread.wait_for_end),
        ("threading", "_DummyThread", thread.dummy_class(threading._DummyThread)),
        ("_threading_local", "local", _local.local),
    ],
}
