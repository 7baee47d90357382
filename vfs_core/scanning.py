"""Looks for texts in the raw bytes of files; a program of its own: texts and files come as JSON, so does what it finds.

It runs in a child process, because whoever closes a database file in a process that has it open in SQLite drops that
connection's locks (POSIX locks belong to the process and the file, not to the descriptor). It imports nothing of ours.
Files are read block by block, each with the end of the one before, so that it needs little memory whatever their size.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence

BLOCK = 1 << 20
_FEW = 150
"""Needles that are faster looked for one by one; for each of more it takes 0.4 ms a MiB, by anchors 70 for all."""
_LONG, _SHORT = 8, 4
"""Bytes of the anchors of long needles and of short ones."""


def forms(text: str) -> set[bytes]:
    """The bytes that stand for a text in a block whose ASCII letters are lower-cased."""
    raw = text.encode("utf-8", "surrogateescape").lower()
    return {raw, *(each.encode("utf-8", "surrogateescape") for each in (text.lower(), text.casefold()))}


class Needles:
    """What is looked for. A needle can only be where its first and last eight (or four) bytes are."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.texts = {form: text for text in texts for form in forms(text)}
        self.longest = max(map(len, self.texts), default=1)
        self._index()

    def within(self, window: bytes) -> set[str]:
        """The texts that a block of lower-cased bytes contains."""
        likely = list(self.texts) if len(self.texts) < _FEW else self._likely(window)
        return {self.texts[form] for form in likely if form in window}

    def drop(self, found: set[str]) -> None:
        """Look no further for texts."""
        self.texts = {form: text for form, text in self.texts.items() if text not in found}
        self._index()

    def _index(self) -> None:
        self._ends: dict[int, list[tuple[bytes, int, int]]] = {_LONG: [], _SHORT: []}
        for form in self.texts:
            size = _LONG if len(form) >= _LONG else _SHORT
            first = int.from_bytes(form[:size], sys.byteorder)
            last = int.from_bytes(form[-size:], sys.byteorder)
            self._ends[size].append((form, first, last))

    def _likely(self, window: bytes) -> list[bytes]:
        """Those whose ends are there: compared as machine words at every alignment, at the speed of a set."""
        likely: list[bytes] = []
        for size, ends in self._ends.items():
            wanted = {word for _, first, last in ends for word in (first, last)}
            seen: set[int] = set()
            for start in range(size if ends else 0):
                part = memoryview(window)[start : start + (len(window) - start) // size * size]
                seen.update(wanted.intersection(part.cast("Q") if size == _LONG else part.cast("I")))
            likely += [form for form, first, last in ends if first in seen and last in seen]
        return likely


def scan(path: str, texts: Sequence[str]) -> set[str]:
    """The texts that a file contains, whatever their case. Raises OSError."""
    needles, found = Needles(texts), set[str]()
    kept = b""
    with open(path, "rb") as file:  # noqa: PTH123  # no pathlib: this starts in a bare interpreter
        while needles.texts and (block := file.read(BLOCK)):
            window = kept + block.lower()
            here = needles.within(window)
            if here:
                found |= here
                needles.drop(here)
            kept = window[-needles.longest :]
    return found


def main() -> None:
    """Read {"files": [...], "texts": [...]} and write {"found": [[file, text]...], "unread": [[file, why]...]}."""
    given = json.load(sys.stdin)
    found: list[tuple[str, str]] = []
    unread: list[tuple[str, str]] = []
    for path in given["files"]:
        try:
            found += [(path, text) for text in sorted(scan(path, given["texts"]))]
        except FileNotFoundError:
            continue
        except OSError as error:
            unread.append((path, str(error.strerror or error)))
    json.dump({"found": found, "unread": unread}, sys.stdout)


if __name__ == "__main__":
    main()
