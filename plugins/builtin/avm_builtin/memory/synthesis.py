"""One document about a subject: what the notes say about it, sentence by sentence, each with its source."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from avm_builtin.memory import tokens
from avm_builtin.memory.excerpts import weights_of
from avm_builtin.memory.frames import Frame, on_one_line
from avm_builtin.memory.recalling import recall
from avm_builtin.memory.sentences import sentences
from avm_builtin.search import text as analyser
from vfs_core.errors import Invalid
from vfs_core.types import as_datetime

if TYPE_CHECKING:
    from vfs_core.session import Session

_NOTES = 20
_SENTENCES = 4
"""Sentences of one note at most."""


class _Extract(NamedTuple):
    """A sentence that says something about the subject."""

    weight: int
    source: int
    order: int
    text: str


def synthesize(session: Session, topic: str, max_tokens: int = 4000) -> str:
    """One Markdown document about a topic: the sentences that say most, by note, and the notes as its sources.

    At most `max_tokens` tokens. Every sentence stands on a line of its own behind the number of its source.
    """
    if max_tokens < 1:
        raise Invalid(f"a budget is 1 token or more, not {max_tokens}")
    found = recall(session, topic, max(max_tokens, 2000) * 2, "relevance")
    if not found.frames:
        return tokens.cut(found.text, max_tokens)
    frames = found.frames[:_NOTES]
    chosen = sorted(_extracts(frames, topic), key=lambda each: (-each.weight, each.source, each.order))
    heading = f"# {on_one_line(topic)}\n"
    while True:
        text = _document(heading, frames, chosen)
        if tokens.count(text) <= max_tokens:
            return text
        if not chosen:
            return tokens.cut(text, max_tokens)
        # What says least goes first.
        chosen = chosen[: max(0, len(chosen) * max_tokens // max(tokens.count(text), 1) - 1)]


# --- sentences -----------------------------------------------------------------------------------


def _extracts(frames: tuple[Frame, ...], topic: str) -> Iterator[_Extract]:
    seen: set[str] = set()
    for source, frame in enumerate(frames):
        pieces = sentences(frame.text)
        weights = weights_of(pieces, topic)
        best = sorted(range(len(pieces)), key=lambda at: (-weights[at], at))[:_SENTENCES]
        for at in sorted(best):
            same = analyser.tokens(pieces[at])
            if weights[at] and same not in seen:
                seen.add(same)
                yield _Extract(weights[at], source, at, pieces[at])


def _document(heading: str, frames: tuple[Frame, ...], chosen: list[_Extract]) -> str:
    used = sorted({each.source for each in chosen}) or [0]
    number = {source: place for place, source in enumerate(used, 1)}
    lines = [heading]
    lines += [
        f"- [{number[each.source]}] {each.text}"
        for each in sorted(chosen, key=lambda each: (each.source, each.order))
    ]
    lines.append("\n## Sources\n" if chosen else "## Sources\n")
    for source in used:
        frame = frames[source]
        day = as_datetime(frame.time_ns).astimezone().strftime("%Y-%m-%d")
        lines.append(on_one_line(f"{number[source]}. [{frame.path}] {frame.author}, {day}"))
    return "\n".join(lines) + "\n"
