"""Tokens as language models count them: o200k, the encoding of GPT-4o and later.

The tokenizer takes a third of a second to load, so nothing is counted that need not be: a text never has
more tokens than bytes.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

ENCODING = "o200k_base"
_REMEMBERED = 2_000
"""Characters of a text whose number of tokens is remembered."""


def count(text: str) -> int:
    """How many tokens a text is. What the same notes are, which are shown again and again, is remembered."""
    return _count(text) if len(text) <= _REMEMBERED else _count.__wrapped__(text)


@lru_cache(maxsize=1 << 12)
def _count(text: str) -> int:
    library = _library()
    if library is None or not text:
        return len(text.encode())
    return int(library.batch_count([text], ENCODING, threads=1)[0])


def prepare() -> None:
    """Begin to load the tokenizer beside what else is to be done before it is needed, if it is not loaded yet."""
    if not _prepared:
        _prepared.append(threading.Thread(target=count, args=("a",), name="avm-tokens", daemon=True))
        _prepared[0].start()


_prepared: list[threading.Thread] = []


def count_each(texts: Sequence[str]) -> list[int]:
    """How many tokens each of the texts is."""
    library = _library()
    if library is None or not texts:
        return [len(text.encode()) for text in texts]
    return [int(each) for each in library.batch_count(list(texts), ENCODING, threads=1)]


def cut(text: str, limit: int) -> str:
    """The longest beginning of a text that is at most `limit` tokens."""
    if len(text.encode()) <= limit:
        return text
    if limit <= 0:
        return ""
    library = _library()
    if library is None:
        return text.encode()[:limit].decode("utf-8", "ignore")
    return str(library.truncate(text, limit, ENCODING)[0])


def _library() -> ModuleType | None:
    """The tokenizer; None on Python 3.10, for which there is none: bytes are counted then, which are never fewer."""
    try:
        return import_module("toktok")
    except ImportError:
        return None
