"""What references and the collector make of coroutines: weak references, cycles, balanced counts.

Scenarios are played on greenlet (PyPI) as well, and must record the same there.
"""

from __future__ import annotations

import gc
import sys
import weakref
from typing import Any

import pytest
from helpers import Implementation, Log, same

from pycoro import Coroutine, _native, current

pytestmark = pytest.mark.usefixtures("quick_collections")


def test_weak_references() -> None:
    def scenario(api: Implementation, log: Log) -> None:
        main = api.current()
        coroutine = api.new(lambda: main.switch())
        coroutine.switch()
        reference = weakref.ref(coroutine, lambda _: log.append("callback"))
        log.append(reference() is coroutine)
        del coroutine
        log.append(reference())

    assert same(scenario) == [True, "callback", None]


def test_cycles_of_unstarted_and_ended_ones_are_collected() -> None:
    def scenario(api: Implementation, log: Log) -> None:
        class Holder:
            pass

        for start in (False, True):
            holder: Any = Holder()
            holder.coroutine = api.new(lambda keep=holder: None)
            if start:
                holder.coroutine.switch()
                holder.child = api.new(lambda: None, holder.coroutine)
                holder.lambda_ = lambda keep=holder: None
            references = [weakref.ref(holder), weakref.ref(holder.coroutine)]
            del holder
            gc.collect()
            log.append([reference() for reference in references])

    assert same(scenario) == [[None, None], [None, None]]


def test_a_suspended_one_in_a_heap_cycle_is_unwound_by_the_collector() -> None:
    log: list[str] = []
    main = current()

    class Cyclic(Coroutine):
        partner: Any

    def run() -> None:
        try:
            main.switch()
        finally:
            log.append("unwound")

    before = _native.count_in_use()
    gc.collect()
    a, b = Cyclic(run), Cyclic(run)
    a.partner, b.partner = b, a
    a.switch()
    b.switch()
    del a, b
    gc.collect()
    assert log == ["unwound", "unwound"]
    assert _native.count_in_use() == before


def test_collection_inside_a_coroutine_unwinds_others() -> None:
    log: list[Any] = []
    main = current()

    class Cyclic(Coroutine):
        me: Any

    def victim() -> None:
        try:
            main.switch()
        finally:
            log.append(("parent is the collector", current().parent is collector))

    def collect() -> str:
        gc.collect()
        return "collected"

    one = Cyclic(victim)
    one.me = one
    one.switch()
    collector = Coroutine(collect)
    gc.collect()
    del one
    assert collector.switch() == "collected"
    assert log == [("parent is the collector", True)]


def test_references_are_balanced() -> None:
    main = current()
    value = object()
    error = ValueError()

    def run(first: object) -> object:
        try:
            while True:
                first = main.switch(first)
        except ValueError:
            return first

    before = sys.getrefcount(value), sys.getrefcount(error), sys.getrefcount(run)
    for _ in range(100):
        coroutine = Coroutine(run)
        for _ in range(3):
            coroutine.switch(value)
        coroutine.throw(error)
        error.__traceback__ = None
        other = Coroutine(run)
        other.switch(value)
    del coroutine, other
    after = sys.getrefcount(value), sys.getrefcount(error), sys.getrefcount(run)
    assert after == before
