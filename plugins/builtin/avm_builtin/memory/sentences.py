"""The sentences of a note, each on one line, without the marks of headings, lists and quotations."""

from __future__ import annotations

import re

from avm_builtin.memory.excerpts import pieces_of
from avm_builtin.memory.frames import on_one_line
from avm_builtin.search import text as analyser

LONGEST = 400
"""Characters of a sentence that are shown."""
_MARK = re.compile(r"(?:(?:#{1,6}|>|[-*+]|\[[ xX]\]|\d+[.)])(?:\s+|$))+")
"""What begins a heading, a quotation, an item of a list; a sign before a number (`-5%`) is none."""


def sentences(text: str) -> list[str]:
    """The sentences in order, those without a word left out, long ones cut."""
    shown = (on_one_line(_bare(" ".join(piece.split()))) for piece in pieces_of(text, 0))
    return [cut(each) for each in shown if analyser.tokens(each)]


def cut(text: str, longest: int = LONGEST) -> str:
    """The text, or its beginning and `…`."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _bare(line: str) -> str:
    found = _MARK.match(line)
    return line[found.end() :] if found else line
