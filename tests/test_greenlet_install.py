"""pycoro.greenlet in greenlet's place: install(), python -m, and the C API.

Each in a process of its own, for the tests here have the other greenlet.
"""

from __future__ import annotations

import sysconfig
from pathlib import Path

import greenlet
import pytest
from helpers import output_of, run_python

SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")
EXTENSIONS = list(Path(greenlet.__file__).parent.glob(f"tests/_test_extension{SUFFIX}"))


def test_install() -> None:
    assert output_of(
        """
        import sys
        import pycoro.greenlet
        pycoro.greenlet.install()
        pycoro.greenlet.install()  # twice is as good as once
        import greenlet
        import greenlet._greenlet
        from greenlet import greenlet as raw, getcurrent
        from greenlet._greenlet import GreenletExit
        print(greenlet is pycoro.greenlet, raw is pycoro.greenlet.greenlet)
        print(raw, GreenletExit, greenlet.error)
        print([int(part) for part in greenlet.__version__.split(".")] >= [3, 5])
        """
    ) == [
        "True True",
        "<class 'greenlet.greenlet'> <class 'greenlet.GreenletExit'> <class 'greenlet.error'>",
        "True",
    ]


def test_install_comes_too_late() -> None:
    assert output_of(
        """
        import greenlet
        import pycoro.greenlet
        try:
            pycoro.greenlet.install()
        except RuntimeError as error:
            print(error)
        print(greenlet.__name__)
        """
    ) == [
        "greenlet has been imported already: pycoro.greenlet.install() must come before all that "
        "imports it",
        "greenlet",
    ]


def test_install_with_a_stack_size() -> None:
    assert output_of(
        """
        import pycoro, pycoro.greenlet
        try:
            pycoro.greenlet.install(stack_size=1)
        except ValueError as error:
            print("refused")
        pycoro.greenlet.install(stack_size=1 << 22)
        print(pycoro.stack_size() == 1 << 22)

        def nest(depth):
            return depth if depth == 0 else sorted([0], key=lambda _: nest(depth - 1))

        import greenlet
        print(greenlet.greenlet(nest).switch(80))
        """
    ) == ["refused", "True", "[0]"]


PROGRAM = """
import sys, greenlet
print(greenlet.__name__, __name__, sys.argv[1:])
print(greenlet.greenlet(lambda *args: args).switch(1, 2))
"""
EXPECTED = ["pycoro.greenlet __main__ ['-x', 'y']", "(1, 2)"]


def run_main(*arguments: str) -> list[str]:
    code = f"""
        import runpy, sys
        sys.argv = ["-m", *{arguments!r}]
        runpy.run_module("pycoro.greenlet", run_name="__main__", alter_sys=True)
    """
    return output_of(code)


def test_python_m_runs_a_file(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM + "import beside\n")
    (tmp_path / "beside.py").write_text("print('found beside it')\n")
    found = run_main(str(tmp_path / "program.py"), "-x", "y")
    assert found == [*EXPECTED, "found beside it"]


def test_python_m_runs_code_and_modules() -> None:
    assert run_main("-c", PROGRAM, "-x", "y") == EXPECTED
    assert run_main("--stack-size", "1000000", "-m", "platform")
    done = run_python(
        "import sys; sys.argv[1:] = ['--bad']; import runpy; "
        "runpy.run_module('pycoro.greenlet', run_name='__main__')"
    )
    assert done.returncode == 2
    assert "usage: python -m pycoro.greenlet" in done.stderr


def test_what_ends_a_program_passes() -> None:
    done = run_python(
        "import sys; sys.argv[1:] = ['-c', 'import sys; sys.exit(7)']; import runpy; "
        "runpy.run_module('pycoro.greenlet', run_name='__main__')"
    )
    assert done.returncode == 7


@pytest.mark.skipif(not EXTENSIONS, reason="greenlet was installed without its tests")
def test_modules_compiled_for_greenlet_run_on_it() -> None:
    code = f"""
        import pycoro.greenlet
        pycoro.greenlet.install()
        import greenlet
        from importlib.util import module_from_spec, spec_from_file_location

        spec = spec_from_file_location("_test_extension", {str(EXTENSIONS[0])!r})
        extension = module_from_spec(spec)
        spec.loader.exec_module(extension)

        print(extension.test_switch(greenlet.greenlet(lambda: 50)))
        print(extension.test_switch_kwargs(greenlet.greenlet(lambda x, y: x * y), x=3, y=2))
        print(extension.test_new_greenlet(lambda: -15))
        extension.test_getcurrent()
        try:
            extension.test_raise_dead_greenlet()
        except greenlet.GreenletExit as error:
            print(type(error))
        try:
            extension.test_switch_kwargs("not a greenlet")
        except TypeError as error:
            print(error)
        """
    assert output_of(code) == [
        "50",
        "6",
        "-15",
        "<class 'greenlet.GreenletExit'>",
        "argument 1 must be greenlet.greenlet, not str",
    ]
