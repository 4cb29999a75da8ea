"""A producer and two consumers, written with generators.

Each consumer is a generator that the producer feeds by send(). All of a consumer must stand in one
function: a helper that waits for the next item would have to be a generator too, entered by
`yield from`, as would everything that calls it. producer_coroutines.py lifts that.
"""

from __future__ import annotations

from collections.abc import Generator

WORDS = ["salt", "bread", "onions", "butter", "thyme", "wine"]


def shopper(name: str) -> Generator[None, str, None]:
    basket: list[str] = []
    try:
        while True:
            item = yield
            basket.append(item)
            print(f"{name} takes {item}")
    finally:
        print(f"{name} leaves with {', '.join(basket)}")


def producer(consumers: list[Generator[None, str, None]]) -> None:
    for number, word in enumerate(WORDS):
        consumers[number % len(consumers)].send(word)


def main() -> None:
    consumers = [shopper("Ada"), shopper("Ben")]
    for consumer in consumers:
        next(consumer)  # up to its first yield
    producer(consumers)
    for consumer in consumers:
        consumer.close()


if __name__ == "__main__":
    main()
