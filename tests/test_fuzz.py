"""What a fuzzer looks for in pywsgi (tests/fuzz): the inputs that it begins with are in order, and
what must hold does not hold of a server with a fault.

The extra for it: pip install 'pycoro[servers]'; to fuzz, `python -m tests.fuzz` with `fuzz`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import web  # noqa: F401  # skips all of this without httptools
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("h11", reason="h11 is missing: pip install 'pycoro[servers]'")

from fuzz.connection import Harness
from fuzz.seeds import SEEDS, WORDS

from pycoro.pywsgi import body, connection, handler, head, responder

pytestmark = pytest.mark.usefixtures("clean_loop")


@pytest.fixture
def harness() -> Iterator[Harness]:
    one = Harness()
    yield one
    one.close()


def test_seeds(harness: Harness) -> None:
    served = 0
    for seed in SEEDS:
        served += len(harness.check(seed).requests)
    assert served > len(SEEDS) // 2


PIECES = st.sampled_from([*WORDS, *(seed[2:] for seed in SEEDS)]) | st.binary(max_size=10)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.binary(min_size=2, max_size=2), st.lists(PIECES, max_size=12))
def test_pieces_of_them(harness: Harness, ways: bytes, pieces: list[bytes]) -> None:
    harness.check(ways + b"".join(pieces))


def _leaves_out(harness: Harness, patch: Any) -> None:
    """Of a chunk's data."""
    pull = body.Chunked.pull
    patch.setattr(body.Chunked, "pull", lambda self: pull(self)[:2])


def _reads_too_much(harness: Harness, patch: Any) -> None:
    """A body that is longer than it says."""
    measure = head.Head._measure

    def wrong(self: Any) -> None:
        measure(self)
        self.length += self.length == 5

    patch.setattr(head.Head, "_measure", wrong)


def _forgets_the_end(harness: Harness, patch: Any) -> None:
    """Of a chunked response."""
    patch.setattr(responder.Responder, "_end_body", lambda self: None, raising=False)
    patch.setattr(handler.WSGIHandler, "_end_body", lambda self: None)


def _fails(harness: Harness, patch: Any) -> None:
    def wrong(self: Any, most: int) -> bool:
        raise RuntimeError("not an OSError")

    patch.setattr(body.Input, "discard", wrong)


def _answers_twice(harness: Harness, patch: Any) -> None:
    send = connection.Connection._sendall
    patch.setattr(
        connection.Connection, "_sendall", lambda self, data: [send(self, data) for _ in "12"]
    )


def _goes(harness: Harness, patch: Any) -> None:
    """After one request, without a word."""
    serve = handler.WSGIHandler.handle_one_request
    patch.setattr(handler.WSGIHandler, "handle_one_request", lambda self: serve(self) and False)


FAULTS = [_leaves_out, _reads_too_much, _forgets_the_end, _fails, _answers_twice, _goes]


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_found(
    fault: Callable[[Harness, Any], None], harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault(harness, monkeypatch)
    with pytest.raises(AssertionError):
        for seed in SEEDS:
            harness.check(seed)
