"""What of CPython's tests is run, and what is left out of it, each with its reason."""

from __future__ import annotations

import fnmatch

MODULES = [
    "test_socket",
    "test_select",
    "test_selectors",
    "test_queue",
    "test_threading",
    "test_subprocess",
    "test_socketserver",
    "test_urllib2_localnet",
]

_FLAG = "looks at O_NONBLOCK of the descriptor, which is always set here"

# module -> {pattern of Class.test_name: reason}
SKIPS: dict[str, dict[str, str]] = {
    "test_select": {
        "SelectTestCase.test_disallow_instantiation": "a polling object here is a class in Python",
    },
    "test_ssl": {
        "SimpleBackgroundTests.test_makefile_close": "expects a descriptor's number to stay unused, "
        "while the server's thread opens some of its own",
    },
    "test_socket": {
        "NonBlockingTCPTests.testSetBlocking*": _FLAG,
        "NonblockConstantTest.test_SOCK_NONBLOCK": _FLAG,
        "ThreadedVSOCKSocketStreamTest.testStream": "may hang where a hypervisor's vsock answers "
        "nobody, without a patch as well",
    },
}


def reason(module: str, name: str) -> str | None:
    for pattern, why in SKIPS.get(module, {}).items():
        if fnmatch.fnmatchcase(name, pattern):
            return why
    return None
