"""What of CPython's tests is run, and what is left out of it, each with its reason."""

from __future__ import annotations

import fnmatch

# Those that a version does not have are passed over.
MODULES = [
    "test_socket",
    "test_select",
    "test_selectors",
    "test_queue",
    "test_threading",
    "test_subprocess",
    "test_socketserver",
    "test_urllib2_localnet",
    "test_asyncio.test_events",
    "test_asyncio.test_sendfile",
    "test_asyncio.test_sock_lowlevel",
    "test_asyncio.test_streams",
    "test_asyncio.test_subprocess",
    "test_asyncio.test_threads",
    "test_asyncio.test_unix_events",
    "test_asyncore",
    "test_concurrent_futures.test_deadlock",
    "test_concurrent_futures.test_process_pool",
    "test_concurrent_futures.test_thread_pool",
    "test_epoll",
    "test_ftplib",
    "test_httplib",
    "test_httpservers",
    "test_imaplib",
    "test_poll",
    "test_poplib",
    "test_smtplib",
    "test_ssl",
    "test_thread",
    "test_threading_local",
    "test_threadsignals",
    "test_xmlrpc",
]

# Their tasks wait for multiprocessing's pipes and semaphores: they want the patch of those as well,
# patch_all(multiprocessing=True).
MULTIPROCESSING = {
    "test_asyncio.test_unix_events",
    "test_concurrent_futures.test_deadlock",
    "test_concurrent_futures.test_process_pool",
    "test_logging",
}

_SPINS = "has a thread spin until another has run: coroutines take turns where they wait"
_READ = "has a thread wait for a pipe in os.read(), which no patch replaces"
_MOCK = "asyncio's loop never waits there, with a mock for a selector: no other thread runs"
_FLAG = "looks at O_NONBLOCK of the descriptor, which is always set here"

# module -> {pattern of Class.test_name: reason}
SKIPS: dict[str, dict[str, str]] = {
    "test_queue": {
        "*Test.test_shutdown_all_methods_in_many_threads": _SPINS,
        "*Test.test_shutdown_immediate_all_methods_in_many_threads": _SPINS,
    },
    "test_select": {
        "SelectTestCase.test_disallow_instantiation": "a polling object here is a class in Python",
    },
    "test_logging": {
        "ConfigDictTest.test_config_queue_handler": _SPINS,
    },
    "test_thread": {
        "TestForkInThread.test_forkinthread": _READ + ", before another has begun",
        "ThreadRunningTests.test_unraisable_exception": "an error that ends a task is told by "
        "Loop.handle_error()",
    },
    "test_bdb": {
        "StateTestCase.test_skip": "the lock of an import is a class in Python here, whose methods "
        "a debugger steps into unless they are in its list",
    },
    "test_sqlite3.test_dbapi": {
        "ThreadTests.test_check_*_thread": "sqlite3 knows threads of the system's: one task may "
        "use what another has made, as they are in one thread",
    },
    "test_threading": {
        "InterruptMainTests.test_can_interrupt_tight_loops": _SPINS,
        "MiscTestCase.test__all__": "wants all names to come from threading",
        "ThreadTests.test_PyThreadState_SetAsyncExc": "raises in a thread of the system's",
        "ThreadTests.test_disallow_instantiation": "a lock here is a class in Python",
        "ThreadTests.test_various_ops*": "counts threads of the system's",
    },
    "test_threadsignals": {
        "ThreadSignals.test_signals": "a signal's handler runs in the coroutine that runs",
    },
    "test_ssl": {
        "SimpleBackgroundTests.test_makefile_close": "expects a descriptor's number to stay "
        "unused, while the server's thread opens some of its own",
    },
    "test_io": {
        "*IOTest.test_optional_abilities": _READ,
        "*SignalsTest.test_interrupted_write_[btu]*": _READ,
        "CBuffered*Test.test_slow_close_from_thread": "a buffered file is locked by a thread of "
        "the system's: another task gets a RuntimeError, where another thread would wait",
    },
    "test_signal": {
        "StressTest.test_stress_modifying_handlers": _SPINS,
    },
    "test_fork1": {
        "ForkTest.test_threaded_import_lock_fork": "the interpreter's lock of imports belongs to a "
        "thread of the system's",
    },
    "test_asyncio.test_subprocess": {
        "GenericWatcherTests.test_create_subprocess_with_pidfd": "asyncio allows one running loop "
        "to a thread of the system's, and there are two here, each in a task",
    },
    "test_concurrent_futures.test_thread_pool": {
        "ThreadPoolExecutorTest.test_hang_global_shutdown_lock": "has a thread that is always "
        "given a next job: it never waits, so that no other runs",
    },
    "test_asyncio.test_unix_events": {
        "TestFork.test_fork_signal_handling": "its handler of a signal waits for another process, "
        "in the loop's turn: it must not",
    },
    "test_asyncio.test_selector_events": {
        "BaseSelectorEventLoopTests.test_sock_connect_resolve_using_socket_params": _MOCK,
    },
    "test_asyncio.test_base_events": {
        "BaseEventLoopTests.test_asyncgen_finalization_by_gc_in_other_thread": _MOCK,
        "BaseEventLoopTests.test_check_thread": _MOCK,
        "BaseEventLoopTests.test_shutdown_default_executor_timeout": _MOCK,
    },
    "test_syslog": {
        "Test.test_syslog_threaded": _SPINS,
    },
    "test_sys": {
        "SysModuleTest.test_current_*": "asks the interpreter what its threads run; those are of "
        "the system's",
    },
    "test_socket": {
        "GeneralModuleTests.testRefCountGetNameInfo": "counts references while a traceback's "
        "frame, here of a function in Python, has one",
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
