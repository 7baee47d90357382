"""Shortcuts: `@bcd`, a node's id in letters. Nothing is stored: it holds as long as the node lives, wherever it moves.

The letters are few and without vowels, so that no shortcut reads as a word or as `@all`. Every text of three or more
of them is the shortcut of exactly one id.
"""

from __future__ import annotations

import re

_LETTERS = "bcdfghjkmnpqrstvwxyz"
_BASE = len(_LETTERS)
_FIRST = 1 + _BASE + _BASE**2
"""How many texts are shorter than three letters."""
_SHORTCUT = re.compile(f"@([{_LETTERS}]{{3,15}})")
_LAST_ID = 2**63 - 1


def shortcut_of(node: int) -> str:
    """The shortcut of a node's id."""
    rest, letters = node + _FIRST, ""
    while rest:
        rest, last = divmod(rest - 1, _BASE)
        letters = _LETTERS[last] + letters
    return f"@{letters}"


def node_of(text: str) -> int | None:
    """The id that a shortcut stands for; None for any other text."""
    match = _SHORTCUT.fullmatch(text)
    if match is None:
        return None
    number = 0
    for letter in match[1]:
        number = number * _BASE + _LETTERS.index(letter) + 1
    return number - _FIRST if number - _FIRST <= _LAST_ID else None
