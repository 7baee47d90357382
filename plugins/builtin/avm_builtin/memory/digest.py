"""A digest: what happened in a period, of what an agent may read now, within a budget of tokens.

What notes say stands on one line each, in a fence that is longer than any in it, and without secrets: no note can pose
as the digest. A note of which there is no room is counted.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from avm_builtin.memory import tokens
from avm_builtin.memory.frames import fenced, on_one_line
from avm_builtin.memory.namespaces import namespace_of
from avm_builtin.memory.recalling import importance_of
from avm_builtin.memory.redaction import redact
from avm_builtin.memory.sentences import cut, sentences
from vfs_core import activity, journal
from vfs_core.activity import Opened
from vfs_core.errors import Denied, Invalid, IsADirectory, NotFound
from vfs_core.moments import Moment, as_ns
from vfs_core.types import JSON, Link, as_datetime

if TYPE_CHECKING:
    from vfs_core.session import Session
    from vfs_core.storage import Found

SOURCE = "digest"
"""The `source` of a digest that was saved; digests are not told of in digests."""
DIRECTORY = "digests"
_SENTENCE = 200
"""Characters of a note that are shown."""
_LOOKED_AT = 16_384
"""Bytes of a note that are read for them."""
_LINE_TOKENS = 12
"""As short as a line is taken to be when it is decided how many notes to read."""
_SOME = 20
"""Links and shares that are shown at most."""
_TAGS = 10


class Told(NamedTuple):
    """A note that was written in the period."""

    path: str
    time_ns: int
    new: bool
    author: str
    topic: str
    """The tag that most notes of the digest share with it; "" if it has none."""
    says: str


@dataclass(frozen=True)
class Digest:
    """What happened: `text` is what a person or a model reads, at most the budget long.

    `notes` are those that are shown, `written` how many there are, `new` how many of these were made in the period.
    """

    agent: str
    since_ns: int
    until_ns: int
    text: str
    notes: tuple[Told, ...]
    written: int
    new: int
    tags: dict[str, int]
    shared: tuple[Opened, ...]
    links: tuple[Link, ...]
    runs: dict[str, dict[str, int]]


def digest(session: Session, since: Moment = "1d", max_tokens: int = 2000) -> Digest:
    """The digest of what happened since a moment. Raises Invalid."""
    if max_tokens < 1:
        raise Invalid(f"a budget is 1 token or more, not {max_tokens}")
    since_ns, until_ns = as_ns(since), time.time_ns()
    written = [(found, json.loads(found.meta_json)) for found in _written(session, since_ns)]
    tags = Counter(str(tag) for _, meta in written for tag in meta.get("tags", ()))
    common = dict(sorted(tags.items(), key=lambda item: (-item[1], item[0])))
    first = sorted(written, key=lambda each: (-importance_of(each[1]), -_stat_time(each[0])))
    notes = list(_told(session, first[: max_tokens // _LINE_TOKENS], common, since_ns))
    made = Digest(
        session.principal.agent, since_ns, until_ns, "", (), len(written),
        sum(1 for found, _ in written if found.stat is not None and found.stat.created_ns >= since_ns),
        common,
        tuple(activity.opened_since(session, since_ns)),
        tuple(activity.linked_since(session, since_ns, _SOME)),
        {run: dict(counts) for run, counts in activity.runs_since(session, since_ns).items()},
    )  # fmt: skip
    return _fit(made, notes, Counter(namespace_of(found.path) for found, _ in written), max_tokens)


def save(session: Session, made: Digest) -> str:
    """Keep a digest as a note in the agent's private space, and return its path.

    It may tell of what only this agent may read: raises Denied where others could read it there.
    """
    day = as_datetime(made.until_ns).astimezone().strftime("%Y-%m-%d")
    path = session.writable_path(f"/private/{DIRECTORY}/{day}.md")
    meta: dict[str, JSON] = {"title": f"Digest of {day}", "source": SOURCE, "author": made.agent}
    store = session.judge.store
    with session.transaction() as tx:
        tx.write(path, made.text.encode(), patch=meta)
        found = tx.find(path)
        if store.directory_class(found.within).grants or store.node_class(found.own).shares:
            raise Denied(f"{path} is shared, and a digest tells of what only {made.agent} may read")
    return path


# --- what was written ----------------------------------------------------------------------------


def _written(session: Session, since_ns: int) -> Iterator[Found]:
    """The notes whose text was changed since, last changed first."""
    for found, _ in session.latest(since_ns, "/"):
        if _stat_time(found) >= since_ns and json.loads(found.meta_json).get("source") != SOURCE:
            yield found


def _stat_time(found: Found) -> int:
    assert found.stat is not None
    return found.stat.modified_ns


def _told(
    session: Session, written: Sequence[tuple[Found, dict[str, Any]]], tags: dict[str, int], since_ns: int
) -> Iterator[Told]:
    for found, meta in written:
        assert found.stat is not None
        try:
            text = session.read_range(found.path, 0, _LOOKED_AT).decode("utf-8", "replace")
            author = session.history(found.path, 1)[0].author
        except (NotFound, Denied, IsADirectory, IndexError):
            continue  # moved, closed or removed since it was found
        topic = max(map(str, meta.get("tags", ())), key=lambda tag: (tags.get(tag, 0), tag), default="")
        new = found.stat.created_ns >= since_ns
        yield Told(found.path, found.stat.modified_ns, new, author, topic, _says(text))


def _says(text: str) -> str:
    """What a note begins with: a sentence, behind the heading if it has one."""
    if "\0" in text:
        return "(binary)"
    said = sentences(redact(text).text)
    if len(said) > 1 and text.lstrip().startswith("#"):
        return cut(f"{said[0]}: {said[1]}", _SENTENCE)
    return cut(said[0], _SENTENCE) if said else "(empty)"


# --- the document --------------------------------------------------------------------------------


def _fit(made: Digest, notes: list[Told], counts: Counter[str], max_tokens: int) -> Digest:
    """As many of the notes, first ones first, as there is room for."""
    low, high = 0, len(notes)
    while low < high:
        middle = (low + high + 1) // 2
        if tokens.count(_document(made, notes[:middle], counts)) <= max_tokens:
            low = middle
        else:
            high = middle - 1
    text = tokens.cut(_document(made, notes[:low], counts), max_tokens)
    return replace(made, text=text, notes=tuple(notes[:low]))


def _document(made: Digest, notes: Sequence[Told], counts: Counter[str]) -> str:
    since, until = (
        f"{as_datetime(each).astimezone():%Y-%m-%d %H:%M}" for each in (made.since_ns, made.until_ns)
    )
    parts = [f"# Digest of {on_one_line(made.agent)}, {since} to {until}\n\n{_overview(made)}\n"]
    by_space: dict[str, list[Told]] = {}
    for each in notes:
        by_space.setdefault(namespace_of(each.path), []).append(each)
    for space in sorted(counts, key=lambda each: (-counts[each], each)):
        told = by_space.get(space, [])
        heading = f"## {on_one_line(space)} ({_many(counts[space], 'note')})\n"
        more = counts[space] - len(told)
        parts.append(heading + (fenced("\n".join(_lines(made, space, told))) if told else ""))
        if more:
            parts[-1] += f"({more} more not shown)\n"
    if made.shared:
        lines = [f"{each.path} by {each.by} ({each.access})" for each in made.shared[:_SOME]]
        parts.append(f"## Shared with {on_one_line(made.agent)}\n{_quoted(lines)}")
    if made.links:
        lines = [f"{each.source} -> {each.target} ({each.kind})" for each in made.links]
        parts.append(f"## Linked\n{_quoted(lines)}")
    if made.runs:
        parts.append("## Consolidated\n" + "".join(f"{_run(*each)}\n" for each in made.runs.items()))
    return "\n".join(parts)


def _overview(made: Digest) -> str:
    if not made.written:
        return "Nothing was written."
    said = f"{_many(made.written, 'note')}: {made.new} new, {made.written - made.new} changed."
    if made.tags:
        tags = list(made.tags.items())[:_TAGS]
        said += " Tags: " + ", ".join(f"{on_one_line(tag)} {count}" for tag, count in tags)
    return said


def _lines(made: Digest, space: str, told: Sequence[Told]) -> Iterator[str]:
    """The notes of a space by topic, in each the last first."""
    topics: dict[str, list[Told]] = {}
    for each in sorted(told, key=lambda each: (-made.tags.get(each.topic, 0), each.topic, -each.time_ns)):
        topics.setdefault(each.topic, []).append(each)
    for topic, notes in topics.items():
        if topic or len(topics) > 1:
            yield f"#{on_one_line(topic)}" if topic else "(no tag)"
        for each in notes:
            name = each.path[len(space.rstrip("/")) + 1 :]
            by = "" if each.author == made.agent else f" by {each.author}"
            what = "new" if each.new else "changed"
            moment = f"{as_datetime(each.time_ns).astimezone():%m-%d %H:%M}"
            yield on_one_line(f"- {moment} {what} {name}{by}: {each.says}")


def _quoted(lines: Sequence[str]) -> str:
    return fenced("\n".join(map(on_one_line, lines)))


def _run(run: str, counts: dict[str, int]) -> str:
    said = []
    if journal.RENAME in counts:
        said.append(f"archived {_many(counts[journal.RENAME], 'note')}")
    if journal.WRITE in counts:
        said.append(f"wrote {_many(counts[journal.WRITE], 'summary', 'summaries')}")
    if journal.META in counts:
        said.append(f"changed metadata {_many(counts[journal.META], 'time')}")
    return f"run {run}: {', '.join(said)} (avm undo --run {run})"


def _many(count: int, one: str, several: str = "") -> str:
    return f"{count} {one if count == 1 else several or one + 's'}"
