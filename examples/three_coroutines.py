"""Three coroutines that switch among each other, values going along with the control.

There is no scheduler: each says who goes on. What one passes to switch() is what the other's own
switch() returns. When a coroutine ends, its result goes to its parent, the main program here.
"""

from __future__ import annotations

import pycoro

ROUNDS = 2


def walk(name: str, way: list[str], following: str) -> str:
    print(f"{name} starts, way so far: {' '.join(way) or 'none'}")
    for _ in range(ROUNDS):
        way = everyone[following].switch([*way, name])
        print(f"{name} goes on, way so far: {' '.join(way)}")
    return f"{name} ends, which leads to its parent"


everyone = {
    name: pycoro.Coroutine(lambda way, name=name, to=to: walk(name, way, to), name=name)
    for name, to in [("red", "green"), ("green", "blue"), ("blue", "red")]
}


def main() -> None:
    print(everyone["red"].switch([]))
    for name, coroutine in everyone.items():
        frame = coroutine.frame
        where = f"suspended in {frame.f_code.co_name}()" if frame else "ended"
        print(f"{name}: {where}")


if __name__ == "__main__":
    main()
