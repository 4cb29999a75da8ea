"""A producer and two consumers, written with coroutines.

Compare producer_generators.py: here the producer is a coroutine as well, the consumers ask it for
the next item, and they do so from inside an ordinary helper function, several calls deep. Nothing
is marked: no `yield`, no `await`.
"""

from __future__ import annotations

import pycoro

WORDS = ["salt", "bread", "onions", "butter", "thyme", "wine"]


def produce(asker: pycoro.Coroutine) -> None:
    """Gives each word to the one that asked last; a switch brings the next asker."""
    for word in WORDS:
        asker = asker.switch(word)
    while True:
        asker = asker.switch(None)


producer = pycoro.Coroutine(produce, name="producer")


def next_item() -> str | None:
    """An ordinary function that suspends its caller, whoever that is."""
    item: str | None = producer.switch(pycoro.current())
    return item


def shop(name: str) -> None:
    basket = []
    while item := next_item():
        basket.append(item)
        print(f"{name} takes {item}")
        main_program.switch()  # the next one's turn
    print(f"{name} leaves with {', '.join(basket)}")


main_program = pycoro.current()


def main() -> None:
    shoppers = []
    for name in ["Ada", "Ben"]:
        shopper = pycoro.Coroutine(shop, name=name)
        shopper.switch(name)  # the first switch calls shop(name)
        shoppers.append(shopper)
    while shoppers:
        for shopper in shoppers:
            shopper.switch()
        shoppers = [shopper for shopper in shoppers if not shopper.dead]


if __name__ == "__main__":
    main()
