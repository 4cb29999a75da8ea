"""What of gevent's tests is no test of pycoro, by the reason. Names are patterns, as of a shell.

FAILING are run, and each has to fail: else pycoro can do more than this says, and the line goes.
LEFT_OUT are not run: they would ask nothing of pycoro, or need what is not there.
"""

from __future__ import annotations

import sys

FAILING: dict[str, str] = {
    "internals: modules and attributes that are no API, replaced by mocks or looked into": """
        test___ident
        test___monitor
        test__event.TestAsyncResultCrossThread.test_cross_thread_callback_can_run_before_*
        test__event.TestEventCrossThread.test_cross_thread_callback_can_run_before_*
        test__fileobject.TestFileObjectPosix.test_seek_raises_ioerror
        test__fileobject.TestOpenDescriptor.*
        test__greenlet.TestBasic.test_minimal_ident_parent_not_hub
        test__greenlet.TestStuff.test_minimal_id
        test__hub.TestLoopInterface.*
        test__hub.TestPeriodicMonitoringThread.*
        test__hub_join.TestJoin.test_join_in_new_thread_doesnt_leak_hub_or_greenlet
        test__local.TestGeventLocal.test_locals_collected_when_unreferenced_even_in_running_greenlet
        test__monkey_logging
        test__monkey_selectors.TestSelectors.test_selectors_select_is_patched
        test__os.TestForkAndWatch.test_waitpid_all
        test__os.TestOS_nb.test_event_closed_on_*
        test__pool.*.test_discard
        test__pool.*.test_imap_unordered_bounded_queue
        test__pywsgi.TestHandlerSubclass.test
        test__pywsgi.TestInputRaw.*
        test__refcount.Test.*
        test__server.TestSSLGetCertificate.test_wrap_socket_and_handle_wrap_failure
        test__server_pywsgi.TestSSLGetCertificate.test_wrap_socket_and_handle_wrap_failure
        test__socket.TestFunctions.test_resolve_ipv6_scope_id
        test__subprocess.TestFDs.*
        test__subprocess.TestPopen.test_exit_stops_communicating_greenlets_before_closing
        test__threading_fork_from_dummy.Test.test_fork_from_dummy_thread
        test__threadpool.TestBeforeRunTaskFailure.test_caller_gets_exception_and_slot_is_released
        test__threadpool.TestBeforeRunTaskFailure.test_queued_task_runs_after_all_workers_fail
        test__threadpool.*.test_greenlet_class
        test__threadpool.TestThreadResult.test_exception_in_on_async_doesnt_crash
        test__threadpool.TestWorkerProfileAndTrace.*
        test__util.TestAssertSwitches.test_nested
        test__util.TestFuncs.test_clear_stack_frames
    """,
    "the C build of gevent": """
        test__*.TestCExt.test_c_extension
    """,
    "the text of a message, a repr or a report": """
        test__api.Test.test_invalid_switch_*
        test__api.Test.test_sleep_invalid_switch
        test__greenlet.TestStr.*
        test__hub.TestWaiter.test
        test__local.TestGeventLocal.test_create_local_subclass_init_args
        test__local.TestGeventLocal.test_local_dicts_for_greenlet
        test__monkey_module_run.TestRun.test_issue_302
        test__pywsgi.TestBody304.test_err
        test__pywsgi.TestHTTPResponseSplitting.test_newline_in_*
        test__server.TestNoneSpawn.test_assertion_in_blocking_func
        test__server_pywsgi.*.test_invalid_callback
        test__threading_2.ThreadTests.test_join_nondaemon_on_shutdown
        test__util.TestAssertSwitches.test_time_sleep
        test__util.TestFormat.*
        test__util.TestTree.test_forest_fake_parent
        test__util.TestTree.test_tree
    """,
    "the order of what happens in one turn of the loop": """
        test__greenletset.Test.test_kill_noblock
        test__iwait.Testiwait.test_iwait_nogarbage
    """,
    "docs/gevent.md: the loop is the hub's, has no run() and no other kinds of watchers": """
        test__api_timeout.Test.*_calls_update_now
        test__core_async.Test.test
        test__core_loop_run
        test__core_stat.*
        test__core_timer.*
        test__core_watcher.*
        test__destroy.*
        test__destroy_default_loop.*
        test__environ
        test__event.TestEventBasics.test_wait_while_notifying
        test__loop_callback.Test.test
        test__nondefaultloop
    """,
    "docs/gevent.md: time limits of calls are numbers": """
        test__event.TestAsyncResultGet.test_raises_timeout_Timeout*
        test__greenlet.TestGet.test_raises_timeout_Timeout*
    """,
    "docs/gevent.md: what is raised is an exception": """
        test__greenlet.TestKill*.test_non_exc_exception*
        test__timeout.Test.test_expires_non_exception
    """,
    "docs/gevent.md: a join that was in vain says so": """
        test__greenlet.TestJoin.test_returns_none_after_timeout
    """,
    "docs/gevent.md: greenlet.settrace() is told of greenlets, not of tasks": """
        test__greenlet.TestDeadPropertyDuringSwitch.*
    """,
    "docs/gevent.md: get_hub().throw() raises in the main program": """
        test__server.*.test_error_in_spawn
        test__server_pywsgi.*.test_error_in_spawn
    """,
    "docs/gevent.md: as long as a Timeout may come, there is no LoopExit": """
        test__semaphore.TestSemaphoreFair.test_fair_or_hangs
    """,
    "docs/gevent.md: events of patches are plain classes": """
        test__events.*
        test__monkey.TestMonkey.test_patch_events
    """,
    "docs/gevent.md: which names a patch replaces, what it repairs and what it warns of": """
        test__issue2013.*
        test__monkey.TestMonkey.test_os
        test__monkey.TestMonkey.test_patch_queue
        test__monkey.TestMonkey.test_patch_twice_warnings_events
        test__monkey.TestMonkey.test_saved
        test__monkey.TestMonkey.test_socket
        test__monkey.TestMonkey.test_thread
        test__monkey_select.TestSelect.test_epoll_removed
        test__monkey_selectors.TestSelectors.test_default
        test__monkey_ssl_warning?.Test.test_ssl_subclass_and_module_reference
        test__socket.TestCreateConnection.test_base_exception
        test__subprocess.TestPopen.test_nonblock_removed
        test__threading_monkey_in_thread.Test.test_patch_in_thread
    """,
    "docs/gevent.md: a handler of SIGCHLD is Python's": """
        test__monkey_sigchld
    """,
    "docs/gevent.md: other threads may do more": """
        test__monkey_module_run.TestRun.test_threadpool_*
        test__subprocess.TestPopen.test_subprocess_in_native_thread
        test__threadpool.TestSpawn.test_cannot_spawn_from_other_thread
        test__threadpool.TestTPE.test_future_wait_module_function
    """,
    "docs/gevent.md: attributes that sockets, files and signal handlers have, or have not": """
        test__fileobject.*.test_name_after_close
        test__fileobject.TestFileObjectThread.test_read1_default
        test__fileobject.TestFileObjectThread.test_read1_text_not_present
        test__signal.TestSignal.test_alarm
        test__socket.TestFunctions.test_wait_timeout
        test__socket_ex.*
    """,
    "docs/gevent.md: what cannot be watched is an OSError of the kernel's": """
        test__select.TestPossibleCrashes.test_closing_fd_before_selecting
        test__selectors.TestPossibleCrashes.test_closing_fd_before_selecting
    """,
    "docs/gevent.md: locks are Python, and a trace function sees it": """
        test__threading_vs_settrace.TestTrace.test_untraceable_lock
        test__threading_vs_settrace.TestTrace.test_untraceable_lock_uses_same_lock
    """,
    "docs/gevent.md: pywsgi is strict with requests": """
        test__pywsgi.BadRequestTests.test_bad_request_line_with_percent
        test__pywsgi.ChunkedInputTests.test_chunked_readline
        test__pywsgi.ChunkedInputTests.test_close_before_finished
        test__pywsgi.ChunkedInputTests.test_dirt
        test__pywsgi.ChunkedInputTests.test_short_read*
        test__pywsgi.Expect100ContinueTests.test_continue
        test__pywsgi.MultipleCookieHeadersTest.test
        test__pywsgi.TestConnectionUpgrades.test_*upgrade*
        test__pywsgi.TestMultiLineHeader.test_multiline_116
        test__pywsgi.TestNonLatin1*HeaderFromApplication.test
    """,
    "docs/gevent.md: pywsgi is strict with applications": """
        test__pywsgi.TestContentLength304.test_err
        test__pywsgi.TestEmptyYield.test_err
        test__pywsgi.TestWrite304.test_err
        test__server_pywsgi.*.test_server_closes_client_sockets
    """,
}

if sys.version_info >= (3, 13):
    FAILING["the stdlib is as it is: how long it keeps dummy threads, how it shows new ones"] = """
        test__threading_2.ThreadTests.test_foreign_thread
        test__threading_2.ThreadTests.test_ident_of_no_threading_threads
        test__threading_2.ThreadTests.test_various_ops*
    """

LEFT_OUT: dict[str, str] = {
    "gevent's own modules, docstrings and list of names": """
        test___config
        test__all__
        test__compat
        test__doctests
        test__execmodules
    """,
    "CPython's own tests: python -m tests.stdlib": """
        test___monkey_patching
    """,
    "names that only a network knows, and other resolvers": """
        test__getaddrinfo_import
        test__resolver_dnspython
        test__socket_dns
        test__socket_dns6
    """,
}
