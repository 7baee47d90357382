"""The parts of a note that are embedded, each by itself: whole paragraphs and sentences, as long as the models see."""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import NamedTuple

from avm_builtin.search.contents import text_of
from vfs_core.meta import title_of
from vfs_core.storage import Found

VERSION = 1
"""Changes with what is made of the same note, so that everything is embedded anew."""
_LIMIT = 1000
"""Characters of a part, wide ones counted as three: the 256 tokens of MiniLM, half of what E5 sees."""
_WIDE = 3
_MOST = 64
"""Parts of one note: what a longer one says after them is found by its words only."""
_MAX_BYTES = 4 * _LIMIT * _MOST
_ATOM = re.compile(r".+?(?:\n+|[。！？；]+|[.!?]+\s+|$)", re.DOTALL)
"""A sentence or a line."""
_WIDE_LETTER = re.compile(r"[\u2e80-\ua4cf\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]")
_SPACE = re.compile(r"\s")


class Chunk(NamedTuple):
    """A part of a note: `length` characters of its body from `start` on, and the text that stands for it."""

    start: int
    length: int
    text: str

    @property
    def key(self) -> bytes:
        """What two parts with the same text have in common, and only they."""
        return blake2b(self.text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def chunks_of(found: Found) -> list[Chunk]:
    """The parts of a note, in order; none for what is no text. A title stands before each that does not begin so."""
    data = found.data
    body = "" if b"\0" in data[:4096] else text_of(data, _MAX_BYTES)
    title = (title_of(found.meta_json) or "").strip()
    chunks = []
    for start, end in spans(body):
        part = body[start:end].strip()
        begins = not title or part[: len(title)].casefold() == title.casefold()
        chunks.append(Chunk(start, end - start, part if begins else f"{title}\n{part}"))
    if not chunks and title:
        chunks.append(Chunk(0, 0, title))
    return chunks


def spans(text: str) -> list[tuple[int, int]]:
    """Where the parts of a text begin and end; together they are all of it but blank parts, in order."""
    if not text.strip():
        return []
    if _weight(text) <= _LIMIT:
        return [(0, len(text))]
    found: list[tuple[int, int]] = []
    start = end = weight = 0
    for atom_start, atom_end in _atoms(text):
        more = _weight(text[atom_start:atom_end])
        paragraph = weight >= _LIMIT / 2 and text[max(start, atom_start - 2) : atom_start] == "\n\n"
        if end > start and (weight + more > _LIMIT or paragraph):
            found.append((start, end))
            if len(found) == _MOST:
                break
            start, weight = atom_start, 0
        end = atom_end
        weight += more
    else:
        found.append((start, end))
    return [(start, end) for start, end in found if text[start:end].strip()]


def _atoms(text: str) -> list[tuple[int, int]]:
    """Sentences and lines, those that are too long for one part cut up between words where there are any."""
    atoms: list[tuple[int, int]] = []
    for match in _ATOM.finditer(text):
        start, end = match.span()
        while _weight(text[start:end]) > _LIMIT:
            cut = _fitting(text, start)
            atoms.append((start, cut))
            start = cut
        atoms.append((start, end))
    return atoms


def _fitting(text: str, start: int) -> int:
    """The end of the longest part from `start` on that is not too long, after a space if one is near."""
    end, weight = start, 0
    while end < len(text):
        weight += _WIDE if _WIDE_LETTER.match(text, end) else 1
        if weight > _LIMIT:
            break
        end += 1
    spaces = [match.end() for match in _SPACE.finditer(text, start + (end - start) // 2, end)]
    return spaces[-1] if spaces else end


def _weight(text: str) -> int:
    if text.isascii():
        return len(text)
    return len(text) + (_WIDE - 1) * len(_WIDE_LETTER.findall(text))
