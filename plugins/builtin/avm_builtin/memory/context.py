"""What an agent should know at the start of a session, within a budget of tokens.

Sections come in order, each with at most half of the room that is left while others wait, so that none starves the
rest; what one does not need goes to the next. A note stands in one section only. Not here: how a note is framed, and
what is said to a question (`recalling`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from avm_builtin.memory import navigation, tokens
from avm_builtin.memory.frames import Frame, on_one_line
from avm_builtin.memory.packing import pack, text_of
from avm_builtin.memory.projects import project_of
from avm_builtin.memory.recalling import frame_of, importance_of, recency_of
from vfs_core.errors import Invalid, VfsError
from vfs_core.path import space_of
from vfs_core.storage import Found
from vfs_core.types import Kind

if TYPE_CHECKING:
    from vfs_core.session import Session

PINNED = "pinned"
"""The key in the metadata that keeps a note before everybody's eyes who may read it."""
_IMPORTANT = 0.7
"""From what importance on a note is shown because of it."""
_PER_SECTION = 10
"""Notes of a section that are looked at; of pinned ones all are."""
_JOINS = 4
"""Tokens more that a part may be where it meets the next."""
_TOPICS_TOKENS = 150
_TOPICS = 12
"""Categories, and tags, that are named at the end."""


class Section(NamedTuple):
    """Notes that are shown for one reason, the first to be shown first."""

    title: str
    notes: Iterable[Found]


@dataclass(frozen=True)
class Context:
    """What an agent is shown: Markdown of at most as many tokens as it was given, and the notes in it."""

    text: str
    frames: tuple[Frame, ...]
    tokens: int


def context(session: Session, max_tokens: int = 2000, step: Callable[[int], None] | None = None) -> Context:
    """Pinned notes, this project's, the last that were written and the most important, then what else there is.

    `step` is called with the number of notes looked at since it was last called. Raises Invalid for a budget below 1.
    """
    if max_tokens < 1:
        raise Invalid(f"a budget is 1 token or more, not {max_tokens}")
    topics = _topics(session, min(_TOPICS_TOKENS, max_tokens // 4))
    room = max_tokens - tokens.count(topics) - _JOINS
    parts: list[tuple[str, list[Frame]]] = []
    seen: set[str] = set()
    waiting = [Section(title, list(notes)) for title, notes in _sections(session, step)]
    for number, section in enumerate(waiting):
        notes = [found for found in section.notes if found.path not in seen]
        others = any(each.notes for each in waiting[number + 1 :])
        heading = tokens.count(_heading(section.title)) + _JOINS
        frames = pack(_frames(session, notes), "", (room // 2 if others else room) - heading)
        if frames:
            parts.append((section.title, frames))
            seen.update(frame.path for frame in frames)
            room -= heading + tokens.count(text_of(frames))
    text = _document(parts, topics)
    while parts and tokens.count(text) > max_tokens:
        parts[-1][1].pop()
        if not parts[-1][1]:
            parts.pop()
        text = _document(parts, topics)
    text = tokens.cut(text, max_tokens)
    shown = tuple(frame for _, frames in parts for frame in frames)
    return Context(text, shown, tokens.count(text))


# --- choosing ------------------------------------------------------------------------------------


def _sections(session: Session, step: Callable[[int], None] | None) -> list[Section]:
    """In the order in which they are shown. What others send an agent will be one more."""
    here = project_of()
    pinned, project, important = list[Found](), list[Found](), list[Found]()
    now, me = time.time_ns(), session.principal.agent

    def worth(found: Found) -> float:
        assert found.stat is not None
        meta = json.loads(found.meta_json)
        return importance_of(meta) * recency_of(meta, found.stat.modified_ns, now)

    for found, meta in _remarkable(session, step):
        if meta.get(PINNED) is True:
            pinned.append(found)
        if here is not None and meta.get("project") == here:
            project.append(found)
        if "importance" in meta and importance_of(meta) >= _IMPORTANT:
            important.append(found)
    pinned.sort(key=lambda each: (space_of(each.path) != me, -worth(each), each.path))
    project.sort(key=lambda each: (-worth(each), each.path))
    important.sort(key=lambda each: (-importance_of(json.loads(each.meta_json)), -worth(each), each.path))
    recent = (found for found, _ in session.latest(under="/") if not _is_superseded(found))
    return [
        Section("Pinned", pinned),
        Section("This project", project[:_PER_SECTION]),
        Section("Recent", islice(recent, _PER_SECTION)),
        Section("Important", important[:_PER_SECTION]),
    ]


def _remarkable(
    session: Session, step: Callable[[int], None] | None
) -> Iterator[tuple[Found, dict[str, Any]]]:
    """The notes whose metadata may put them here, with these."""
    for found in session.walk("/"):
        if step is not None:
            step(1)
        said = found.meta_json
        if (
            any(f'"{key}"' in said for key in (PINNED, "project", "importance"))
            and found.stat is not None
            and found.stat.kind is Kind.FILE
            and not _is_superseded(found)
        ):
            yield found, json.loads(said)


def _is_superseded(found: Found) -> bool:
    return '"superseded_by"' in found.meta_json and bool(json.loads(found.meta_json).get("superseded_by"))


# --- packing -------------------------------------------------------------------------------------


def _frames(session: Session, notes: Iterable[Found]) -> Iterator[Frame]:
    for found in notes:
        meta = json.loads(found.meta_json)
        try:
            yield frame_of(session, found, importance_of(meta), meta)
        except (VfsError, IndexError):
            continue  # moved, closed or removed since


def _heading(title: str) -> str:
    return f"## {title}\n\n"


def _document(parts: list[tuple[str, list[Frame]]], topics: str) -> str:
    sections = [_heading(title) + text_of(frames) for title, frames in parts]
    return "\n".join([*sections, topics])


def _topics(session: Session, limit: int) -> str:
    """What there is to ask for: how many notes in each category, and with each tag; as many as fit."""
    there = navigation.topics(session)
    if not there.categories:
        return tokens.cut("Nothing is remembered yet.\n", limit)
    for most in range(_TOPICS, 0, -1):
        lines = [_heading("What else there is").rstrip("\n"), "", f"Notes: {_counts(there.categories, most)}"]
        if there.tags:
            lines.append(f"Tags: {_counts(there.tags, most)}")
        text = "\n".join(lines) + "\n"
        if tokens.count(text) <= limit:
            return text
    return ""


def _counts(counts: dict[str, int], most: int) -> str:
    shown = [f"{on_one_line(name)} {count}" for name, count in islice(counts.items(), most)]
    more = len(counts) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
