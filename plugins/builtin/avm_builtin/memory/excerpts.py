"""The part of a text that a query is about, within so many tokens; what is left out is marked."""

from __future__ import annotations

import re

from avm_builtin.memory import tokens
from avm_builtin.search import text as analyser

GAP = "[…]"
"""Stands on a line of its own where something was left out."""
_SENTENCE = re.compile(r"(?<=[.!?])\s+|(?<=[。！？；])(?![。！？；”’」』）])|(?<=[。！？；][”’」』）])")
_LONG_LINE = 200
"""Characters from which on a line is taken apart into sentences."""
_MARKS = 8
"""Tokens that two gaps take."""


def excerpt(text: str, query: str, limit: int) -> str:
    """A run of whole lines or sentences around what matches best, of at most `limit` tokens.

    The whole text if it fits; the beginning if nothing matches; "" where not even a few tokens are allowed.
    """
    if len(text.encode()) <= limit or tokens.count(text) <= limit:
        return text
    pieces = pieces_of(text)
    costs = tokens.count_each(pieces)
    weights = weights_of(pieces, query)
    best = max(range(len(pieces)), key=lambda at: (weights[at], -at))
    room = limit - _MARKS
    if costs[best] > room:
        return _within(pieces[best], query, limit, before=best > 0)
    first, last, used = best, best, costs[best]
    while True:
        # The neighbour that matches more comes first; of equals the one behind, as one reads on.
        sides = [(weights[last + 1], 1)] if last + 1 < len(pieces) else []
        sides += [(weights[first - 1], 0)] if first else []
        for _, side in sorted(sides, reverse=True):
            at = last + 1 if side else first - 1
            if used + costs[at] + 1 <= room:
                first, last, used = min(first, at), max(last, at), used + costs[at] + 1
                break
        else:
            break
    head = f"{GAP}\n" if first else ""
    tail = f"\n{GAP}" if last + 1 < len(pieces) else ""
    shown = head + "".join(pieces[first : last + 1]).strip("\n") + tail
    return shown if tokens.count(shown) <= limit else tokens.cut(shown, limit)


def pieces_of(text: str, long_line: int = _LONG_LINE) -> list[str]:
    """Lines, those of more than `long_line` characters by sentences; together they are the text."""
    pieces: list[str] = []
    for line in text.splitlines(keepends=True):
        if len(line) <= long_line:
            pieces.append(line)
            continue
        start = 0
        for match in _SENTENCE.finditer(line):
            pieces.append(line[start : match.end()])
            start = match.end()
        if start < len(line):
            pieces.append(line[start:])
    return pieces


def weights_of(pieces: list[str], query: str) -> list[int]:
    """How many different terms of the query each piece has."""
    wanted = analyser.terms(query)
    weights = []
    for piece in pieces:
        found = analyser.tokens(piece).split()
        have = set(found)
        weights.append(
            sum(
                any(token.startswith(term.text) for token in have) if term.prefix else term.text in have
                for term in wanted
            )
        )
    return weights


def _within(piece: str, query: str, limit: int, *, before: bool) -> str:
    """A part of a piece that is itself too long."""
    width = max(8, 4 * limit)
    while True:
        part = analyser.snippet(piece, query, width)
        if before and not part.startswith("…"):
            part = f"…{part}"
        if tokens.count(part) <= limit or width <= 8:
            return tokens.cut(part, limit)
        width = width * 3 // 4
