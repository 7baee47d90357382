"""Summing up: many old notes about the same get one note that says the most of them, each sentence with its source.

About the same are notes of one directory and one readership that have a session (or thread) or a tag in common. The
sources stay where they are and say where they were summed up; the summary is linked to them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from avm_builtin.memory.consolidation.decaying import given_importance
from avm_builtin.memory.consolidation.notes import MADE_HERE, Note, text_of
from avm_builtin.memory.frames import on_one_line
from avm_builtin.memory.redaction import redact
from avm_builtin.memory.sentences import cut
from vfs_core.errors import PluginError
from vfs_core.meta import happened_ns
from vfs_core.summarising import Sentence, Summariser
from vfs_core.types import JSON, as_datetime

if TYPE_CHECKING:
    from vfs_core.session import Session

LEAST = 8
"""Notes about the same from which on they are summed up."""
MOST = 100
"""Notes that one summary is of."""
BUDGET = 3000
"""Characters of its sentences at most."""
_SHARE = 4
"""A summary is no longer than a fourth of its sources."""
_TOPIC = 80
"""Characters of a topic that stand in a title."""
_TOGETHER = ("session", "thread")


class Topic(NamedTuple):
    """What notes have in common: a key of their metadata (`tags` for a tag) and its value."""

    key: str
    value: str


class Draft(NamedTuple):
    """A summary that can be written."""

    title: str
    text: str
    meta: dict[str, JSON]


def groups(notes: Sequence[Note]) -> Iterator[tuple[Topic, list[Note]]]:
    """The notes that are to be summed up together, each in one group; oldest first."""
    places: dict[tuple[str, int, int], list[Note]] = {}
    for note in notes:
        places.setdefault(note.readership, []).append(note)
    for place in places.values():
        waiting = sorted(place, key=lambda note: (-note.age_ns, note.path))
        while True:
            about: dict[Topic, list[Note]] = {}
            for note in waiting:
                for topic in _topics(note):
                    about.setdefault(topic, []).append(note)
            if not about:
                break
            largest = max(about, key=lambda topic: (len(about[topic]), topic))
            group = about[largest][:MOST]
            if len(group) < LEAST:
                break
            yield largest, group
            taken = {note.path for note in group}
            waiting = [note for note in waiting if note.path not in taken]


def _topics(note: Note) -> Iterator[Topic]:
    meta = note.meta
    for key in _TOGETHER:
        if isinstance(meta.get(key), str):
            yield Topic(key, meta[key])
    for tag in meta.get("tags", ()):
        yield Topic("tags", str(tag))


def draft(session: Session, summariser: Summariser, topic: Topic, sources: Sequence[Note]) -> Draft | None:
    """The summary of some notes; None where the summariser finds nothing to say. Raises PluginError."""
    texts = [redact(text_of(session, note)).text for note in sources]
    budget = min(BUDGET, sum(map(len, texts)) // _SHARE)
    said = _summarise(summariser, texts, budget)
    if not said:
        return None
    metas = [note.meta for note in sources]
    times = sorted(
        happened_ns(meta, note.stat.modified_ns) for meta, note in zip(metas, sources, strict=True)
    )
    first, last = (as_datetime(moment).astimezone() for moment in (times[0], times[-1]))
    days = f"{first:%Y-%m-%d} to {last:%Y-%m-%d}" if first.date() != last.date() else f"{first:%Y-%m-%d}"
    title = f"Summary of {on_one_line(cut(topic.value, _TOPIC))}, {days}"
    common = set.intersection(*(set(meta.get("tags", ())) for meta in metas))
    meta: dict[str, JSON] = {
        "title": title, "source": MADE_HERE, "tags": sorted(common) or None, "time": last.isoformat(),
        "importance": max(map(given_importance, metas)), "author": session.principal.agent,
    }  # fmt: skip
    if topic.key in _TOGETHER:
        meta[topic.key] = topic.value
    return Draft(title, _document(title, said, sources), meta)


def _summarise(summariser: Summariser, texts: list[str], budget: int) -> list[Sentence]:
    """What the summariser says, within the budget, whatever it does."""
    name = type(summariser).__name__
    try:
        made = list(summariser.summarise(texts, budget))
    except Exception as error:
        raise PluginError(f"the summariser {name} failed: {type(error).__name__}: {error}") from error
    said: list[Sentence] = []
    for each in made:
        if not isinstance(each, Sentence) or not (each.source is None or 0 <= each.source < len(texts)):
            raise PluginError(
                f"the summariser {name} gave {each!r}, which is no sentence of a text that it got"
            )
        line = on_one_line(" ".join(redact(each.text).text.split()))
        budget -= len(line)
        if line and budget >= 0:
            said.append(Sentence(line, each.source))
    return said


def _document(title: str, said: Sequence[Sentence], sources: Sequence[Note]) -> str:
    cited = sorted({each.source for each in said if each.source is not None})
    number = {source: place for place, source in enumerate(cited, 1)}
    lines = [f"# {title}", ""]
    lines += [
        f"- {each.text}" if each.source is None else f"- {each.text} [{number[each.source]}]" for each in said
    ]
    lines += ["", f"## Sources ({len(sources)} notes, all of them linked)", ""]
    for source in cited:
        note = sources[source]
        day = as_datetime(happened_ns(note.meta, note.stat.modified_ns)).astimezone()
        lines.append(on_one_line(f"{number[source]}. [{note.path}] {day:%Y-%m-%d}"))
    return "\n".join(lines) + "\n"
