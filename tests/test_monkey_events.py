"""What subscribers of events.py are told of patches, and may prevent: as with gevent.

Each program runs in a process of its own, once for each of the two, for gevent cannot undo a patch.
"""

from __future__ import annotations

import pytest
from helpers import output_of

from pycoro import events, monkey

PACKAGES = ["pycoro", "gevent"]


def run(package: str, code: str, **environment: str) -> list[str]:
    return output_of(code.replace("PACKAGE", package), **environment)


@pytest.fixture(params=PACKAGES)
def package(request: pytest.FixtureRequest) -> str:
    if request.param == "gevent":
        pytest.importorskip("gevent", reason="gevent is not installed for this Python")
    return str(request.param)


def test_the_order_of_events(package: str) -> None:
    code = """
        import time, time as _time
        from PACKAGE import events, monkey
        original = time.sleep
        def tell(event):
            kind = type(event).__name__
            if "Module" in kind and "Modules" not in kind:
                if event.module_name == "time":
                    names = getattr(event, "target_item_names", [])
                    print(kind, names, event.target is _time, event.source.__name__,
                          time.sleep is original)
            else:
                print(kind, event.patch_all_kwargs)
                if kind.startswith("GeventWill"):
                    print(event.will_patch_module("socket"), event.will_patch_module("sys"))
        events.subscribers.append(tell)
        print(bool(monkey.patch_all(other="passed on")))
        """
    assert [line.replace(package, "PACKAGE") for line in run(package, code)] == [
        "GeventWillPatchAllEvent {'other': 'passed on'}",
        "True False",
        "GeventWillPatchModuleEvent ['sleep'] True PACKAGE.time True",
        "GeventDidPatchModuleEvent [] True PACKAGE.time False",
        "GeventDidPatchBuiltinModulesEvent {'other': 'passed on'}",
        "GeventDidPatchAllEvent {'other': 'passed on'}",
        "True",
    ]


@pytest.mark.parametrize("event", ["GeventWillPatchAllEvent", "GeventWillPatchModuleEvent"])
def test_do_not_patch(package: str, event: str) -> None:
    code = f"""
        import time
        from PACKAGE import events, monkey
        original = time.sleep
        def prevent(event):
            name = getattr(event, "module_name", "time")
            if isinstance(event, events.{event}) and name == "time":
                raise events.DoNotPatch
        events.subscribers.append(prevent)
        print(monkey.patch_all())
        print(time.sleep is original, monkey.is_module_patched("time"))
        """
    patched = "False" if event == "GeventWillPatchAllEvent" else "True"
    assert run(package, code) == [patched, "True False"]


def test_the_items_can_be_fewer(package: str) -> None:
    code = """
        import socket
        from PACKAGE import events, monkey
        original = socket.socketpair
        def leave(event):
            if isinstance(event, events.GeventWillPatchModuleEvent):
                if event.module_name == "socket" and "socketpair" in event.target_item_names:
                    event.target_item_names.remove("socketpair")
        events.subscribers.append(leave)
        monkey.patch_socket()
        print(monkey.is_object_patched(mod_name="socket", item_name="socket"))
        print(socket.socketpair is original)
        """
    assert run(package, code) == ["True", "True"]


def test_a_modules_own_hooks(package: str) -> None:
    code = """
        import types
        from PACKAGE import monkey
        source, target = types.ModuleType("source"), types.ModuleType("target")
        source.__implements__ = ["one", "two"]
        source.one, source.two, target.one, target.two = 11, 22, 1, 2
        def will(module, items, warn):
            print("will", module.__name__, items)
            items.remove("two")
        source._gevent_will_monkey_patch = will
        source._gevent_did_monkey_patch = lambda module, items, warn: print("did", module.one)
        print(monkey.patch_module(target, source), target.one, target.two)
        """
    assert run(package, code) == ["will target ['one', 'two']", "did 11", "True 11 2"]


def test_main_runs_a_program(package: str, tmp_path: object) -> None:
    (program := tmp_path / "program.py").write_text(  # type: ignore[operator]
        "import sys, socket; print(sys.argv[1:], socket.socket.__module__)"
    )
    code = f"""
        import sys
        from PACKAGE.monkey import main
        sys.argv = ["monkey", {str(program)!r}, "argument"]
        main()
        """
    module = {"pycoro": "pycoro.socket", "gevent": "gevent._socket3"}[package]
    assert run(package, code) == [f"['argument'] {module}"]


def test_nobody_is_told_twice() -> None:
    told: list[str] = []
    events.subscribers.append(lambda event: told.append(getattr(event, "module_name", "")))
    try:
        monkey.patch_time()
        monkey.patch_time()
    finally:
        monkey.unpatch_all()
        events.subscribers.pop()
    assert told == ["time", "time"]  # before, and after
