"""Damage to bytes, text and trees, drawn from a seeded generator: the same seed damages alike."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

NUMBERS = [
    "0", "-1", "1e308", "-1e308", "nan", "inf", "-inf", "1e-320", "99999999999999999999",
    "2147483648", "0.1.2",
    "1,5", "1_000", "0x10", "١", "", " ", "NA", "-nan(ind)", "true", "null",
]  # fmt: skip
TEXTS = [
    "",
    "\x00",
    "\ufeff",
    "\u202e",
    "a" * 300,
    "a" * 70000,
    "../..",
    "/",
    "~",
    "${x}",
    "$(x)",
    "\x1b[31m",
    "é",
    "e\u0301",
    "'",
    '"',
]
CLOCKS = ["99:99:99,999", "2700:00:00.000", "-00:00:01,000"]
VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 2**31, 2**63, 10**30, -(10**30), 0.0, -0.0, 1e308,
    float("nan"), float("inf"),
    1e-320, *TEXTS, [], {}, [[]], [None], {"a": {}}, {"": 1}, {"name": None}, [1] * 50, "gmu", "none",
    "demo",
]  # fmt: skip


def damaged_bytes(data: bytes, rng: random.Random) -> bytes:
    """One to six changes: bits, runs, cuts, repeats, swaps, lengths."""
    made = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 3, 6])):
        _BYTES[rng.randrange(len(_BYTES))](made, rng)
    return bytes(made[: 4 * len(data) + 4096])


def _flip(made: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice([1, 4, 32])):
        if made:
            made[rng.randrange(len(made))] ^= 1 << rng.randrange(8)


def _cut(made: bytearray, rng: random.Random) -> None:
    del made[rng.randrange(len(made) + 1) :]


def _drop(made: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(made) + 1)
    del made[start : start + rng.choice([1, 2, 16, 1000])]


def _fill(made: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(made) + 1)
    length = min(rng.choice([1, 2, 4, 8, 64]), len(made) - start)
    made[start : start + length] = bytes([rng.choice([0, 255, 127, 128, 32])]) * length


def _repeat(made: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(made) + 1)
    part = made[start : start + rng.choice([1, 16, 1000])]
    made[start:start] = bytes(part) * rng.choice([1, 2, 50])


def _insert(made: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(made) + 1)
    made[start:start] = bytes(rng.randrange(256) for _ in range(rng.choice([1, 4, 64])))


def _early(made: bytearray, rng: random.Random) -> None:
    """A number near the start, where headers are."""
    if len(made) > 8:
        start, size = rng.randrange(min(len(made) - 8, 200)), rng.choice([1, 2, 4, 8])
        value = rng.choice([0, 1, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**32 - 1, 2**63]) % 256**size
        made[start : start + size] = value.to_bytes(size, rng.choice(["little", "big"]))


_BYTES: list[Callable[[bytearray, random.Random], None]] = [
    _flip,
    _cut,
    _drop,
    _fill,
    _repeat,
    _insert,
    _early,
]


def damaged_text(data: bytes, rng: random.Random) -> bytes:
    """Changes that keep a text a text, of a table or a transcript: cells, lines, marks, encoding."""
    if rng.random() < 0.25:
        return damaged_bytes(data, rng)
    lines = data.decode("utf-8", "replace").split("\n")
    for _ in range(rng.choice([1, 1, 2, 4])):
        i = rng.randrange(len(lines))
        match rng.randrange(8):
            case 0:
                cells = lines[i].split(",")
                cells[rng.randrange(len(cells))] = rng.choice([*NUMBERS, *TEXTS])
                lines[i] = ",".join(cells)
            case 1:
                del lines[i]
                lines = lines or [""]
            case 2:
                lines.insert(i, lines[rng.randrange(len(lines))])
            case 3:
                lines.insert(i, rng.choice(TEXTS))
            case 4:
                lines[i] = lines[i].replace(
                    rng.choice([",", ":", ".", "-", ">", " "]), rng.choice([";", "", "::", "\t", "0"])
                )
            case 5:
                lines[i] += rng.choice([",", ",1", '"', "\r", "\x00"])
            case 6:
                words = lines[i].split(" ")
                words[rng.randrange(len(words))] = rng.choice(
                    [*NUMBERS, "99:99:99,999", "2700:00:00.000", "-00:00:01,000"]
                )
                lines[i] = " ".join(words)
            case 7:
                j = rng.randrange(len(lines))
                lines[i], lines[j] = lines[j], lines[i]
    text = "\n".join(lines)
    return text.encode(rng.choice(["utf-8"] * 6 + ["utf-16", "latin-1", "utf-8-sig"]), "replace")


def damaged_tree(tree: Any, rng: random.Random) -> Any:
    """Changes of a YAML or JSON document: a value, a key, a level; the rest stays as it was."""
    made = copy.deepcopy(tree)
    for _ in range(rng.choice([1, 1, 2, 3])):
        places = [(None, None), *_places(made)]
        around, key = rng.choice(places)
        if around is None:
            made = rng.choice([made, made, made, *VALUES]) if rng.random() < 0.1 else made
            continue
        match rng.randrange(6):
            case 0 | 1 | 2:
                around[key] = copy.deepcopy(rng.choice(VALUES))
            case 3:
                del around[key]
            case 4:
                other, their = rng.choice(places[1:])
                around[key] = copy.deepcopy(other[their])
            case 5:
                if isinstance(around, dict):
                    around[rng.choice([*TEXTS, str(key) + "s", "name"])] = around.pop(key)
                else:
                    around[key] = [around[key]] * rng.choice([0, 1, 2])
    return made


def _places(tree: Any) -> list[tuple[Any, Any]]:
    """(container, key) of everything below."""
    found: list[tuple[Any, Any]] = []
    pending = [tree]
    while pending:
        node = pending.pop()
        keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
        found += [(node, key) for key in keys]
        pending += [node[key] for key in keys]
    return found
