"""Interpreter state: each coroutine's contextvars, by policy, and what setting one does."""

from __future__ import annotations

import contextvars
from contextvars import ContextVar
from typing import Any

import pytest
from helpers import Implementation, Log, output_of, same

from pycoro import Coroutine, CoroutineError, current

pytestmark = pytest.mark.usefixtures("quick_collections")

var: ContextVar[str] = ContextVar("var", default="default")


@pytest.fixture(autouse=True)
def own_context() -> Any:
    """Main's context as it was, whatever a test sets."""
    main = current()
    former = main.context
    main.context = contextvars.Context()
    yield
    main.context = former


def test_copy_is_the_default_and_sees_what_the_maker_had() -> None:
    main = current()
    var.set("maker")
    seen: list[str] = []

    def run() -> None:
        seen.append(var.get())
        var.set("own")
        main.switch()
        seen.append(var.get())

    coroutine = Coroutine(run)
    var.set("after making")
    coroutine.switch()
    assert var.get() == "after making"
    var.set("changed")
    coroutine.switch()
    assert seen == ["maker", "own"]
    assert var.get() == "changed"


def test_empty_sees_nothing_of_the_maker() -> None:
    var.set("maker")
    assert Coroutine(var.get, context="empty").switch() == "default"
    assert Coroutine(var.get, context="empty").context is None


def test_share_sees_and_changes_the_maker_s() -> None:
    main = current()

    def run() -> None:
        seen.append(var.get())
        var.set("by the coroutine")
        main.switch()
        seen.append(var.get())

    var.set("maker")
    seen: list[str] = []
    coroutine = Coroutine(run, context="share")
    assert coroutine.context is main.context
    coroutine.switch()
    assert var.get() == "by the coroutine"
    var.set("by the maker")
    coroutine.switch()
    assert seen == ["maker", "by the maker"]


def test_share_with_a_maker_that_has_none() -> None:
    def maker() -> tuple[str, bool]:
        child = Coroutine(lambda: var.set("child"), context="share")
        child.switch()
        return var.get(), current().context is not None

    assert Coroutine(maker, context="empty").switch() == ("child", True)


def test_a_given_context_is_used_and_may_be_shared_by_two() -> None:
    context = contextvars.Context()
    main = current()
    log: list[str] = []

    def run(value: str) -> None:
        var.set(value)
        main.switch()
        log.append(var.get())

    a, b = Coroutine(run, context=context), Coroutine(run, context=context)
    a.switch("a")
    b.switch("b")
    a.switch()
    b.switch()
    assert log == ["b", "b"]
    assert context[var] == "b"
    assert var.get() == "default"


@pytest.mark.parametrize("policy", ["inherit", "", None, 5], ids=repr)
def test_bad_policies(policy: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="context must be 'copy', 'share', 'empty'"):
        Coroutine(print, context=policy)


def test_tokens_reset_in_the_context_they_come_from() -> None:
    def setter(policy: Any) -> tuple[Any, Coroutine]:
        main = current()

        def run() -> None:
            token = var.set("inside")
            main.switch(token)
            var.reset(token)
            main.switch(var.get())

        coroutine = Coroutine(run, context=policy)
        return coroutine.switch(), coroutine

    token, copied = setter("copy")
    with pytest.raises(ValueError, match="different Context"):
        var.reset(token)
    assert copied.switch() == "default"
    token, shared = setter("share")
    assert var.get() == "inside"
    assert shared.switch() == "default"
    assert var.get() == "default"
    with pytest.raises(RuntimeError):
        var.reset(token)


def test_context_run_with_switches_in_the_middle() -> None:
    main = current()

    def inner(name: str) -> str:
        var.set(name)
        main.switch(var.get())
        return var.get()

    def run(name: str) -> tuple[str, str]:
        context = contextvars.copy_context()
        return context.run(inner, name), var.get()

    var.set("main")
    coroutines = [Coroutine(run) for _ in range(3)]
    for coroutine, name in zip(coroutines, "abc", strict=True):
        assert coroutine.switch(name) == name
        assert var.get() == "main"
    assert [coroutine.switch() for coroutine in coroutines[::-1]] == [
        ("c", "main"),
        ("b", "main"),
        ("a", "main"),
    ]


def test_a_context_entered_in_one_cannot_be_entered_in_another() -> None:
    context = contextvars.Context()
    main = current()
    holder = Coroutine(lambda: context.run(main.switch))
    holder.switch()
    with pytest.raises(RuntimeError, match="already entered"):
        context.run(print)
    holder.switch()
    assert context.run(lambda: "free again") == "free again"


def test_the_attribute_over_a_life() -> None:
    main = current()
    var.set("main")
    first, second = contextvars.Context(), contextvars.Context()
    first.run(var.set, "first")
    second.run(var.set, "second")
    coroutine = Coroutine(lambda: (main.switch(var.get()), var.get())[1])
    assert isinstance(coroutine.context, contextvars.Context)
    coroutine.context = first
    assert coroutine.context is first
    assert coroutine.switch() == "first"
    assert coroutine.context is first
    coroutine.context = second
    assert coroutine.switch() == "second"
    assert coroutine.context is None
    with pytest.raises(CoroutineError, match="ended"):
        coroutine.context = first
    with pytest.raises(TypeError, match="Context or None, not int"):
        main.context = 5  # type: ignore[assignment]
    assert var.get() == "main"


def test_setting_the_running_one_s() -> None:
    def scenario(api: Implementation, log: Log) -> None:
        main = api.current()
        context = contextvars.Context()
        context.run(var.set, "given")

        def run() -> None:
            log.append(var.get())
            if api.name == "pycoro":
                api.current().context = context
            else:
                api.current().gr_context = context
            log.append(var.get())
            main.switch()
            var.set("changed")

        coroutine = api.new(run, context="empty") if api.name == "pycoro" else api.new(run)
        coroutine.switch()
        log.append(api.context(coroutine) is context)
        coroutine.switch()
        log.append(context[var])

    assert same(scenario) == ["default", "given", True, "changed"]


def test_values_die_with_their_coroutine() -> None:
    assert output_of(
        """
        import gc, weakref
        from contextvars import ContextVar
        from pycoro import Coroutine, current

        class Value:
            def __del__(self):
                print("value dies in", current().name)

        var = ContextVar("var")
        main = current()

        def run():
            var.set(Value())
            main.switch()

        one = Coroutine(run, name="one", context="empty")
        one.switch()
        one.switch()
        print("one ended")
        two = Coroutine(run, name="two", context="empty")
        two.switch()
        del two
        print("two dropped")
        """
    ) == ["value dies in one", "one ended", "value dies in two", "two dropped"]


def test_a_value_s_del_may_end_who_waits_for_the_result() -> None:
    lines = output_of(
        """
        from contextvars import ContextVar
        from pycoro import Coroutine, current

        class Value:
            def __del__(self):
                ending.parent = main
                heir.parent = ending
                print("heir says", heir.switch("from __del__"))

        def heir_runs():
            return main.switch("heir waits")

        def run():
            var.set(Value())
            return "result"

        var = ContextVar("var")
        main = current()
        heir = Coroutine(heir_runs)
        print(heir.switch())
        ending = Coroutine(run, heir, context="empty")
        print(ending.switch())
        print(heir.dead, ending.dead)
        """,
        timeout=20,
    )
    assert lines == ["heir waits", "heir says from __del__", "result", "True True"]
