"""Recall: what an agent may see of a subject, as Markdown that never exceeds a budget of tokens."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, get_args

from avm_builtin.memory import tokens
from avm_builtin.memory.frames import Frame, on_one_line
from avm_builtin.memory.namespaces import ARCHIVE
from avm_builtin.memory.packing import pack, text_of
from avm_builtin.memory.projects import project_of
from avm_builtin.memory.redaction import redact
from vfs_core.errors import Denied, Invalid, NotFound, VersionGone
from vfs_core.meta import EMPTY, happened_ns
from vfs_core.moments import DAY_NS, Moment
from vfs_core.ranking import sequence_of
from vfs_core.types import as_datetime

if TYPE_CHECKING:
    from vfs_core.retrospect import Retrospect
    from vfs_core.semantic import Embedded
    from vfs_core.session import Session
    from vfs_core.storage import Found

Strategy: TypeAlias = Literal["balanced", "importance", "recency", "relevance"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
TimeRange: TypeAlias = "Moment | tuple[Moment | None, Moment | None]"
"""From a moment on, or between two; None leaves a side open."""

_WEIGHTS: dict[str, tuple[float, float]] = {
    "relevance": (0.0, 0.0),
    "balanced": (0.15, 0.15),
    "importance": (0.6, 0.0),
    "recency": (0.0, 0.6),
}
"""By strategy: how much of the score importance and recency may take away."""
_HALF_LIFE_DAYS = 30.0
_SUPERSEDED = 0.5
"""What is left of the score of a note that another supersedes."""
_ARCHIVED = 0.7
"""What is left of it where the note is archived."""
_SUMMARISED = 0.9
"""What is left of it where a summary says the most of it."""
_OTHER_PROJECT = 0.9
_NOTE_TOKENS = 20
"""As short as notes are taken to be when it is decided how many to rank."""
_MOST = 500
_LONG, _FRAME = 500, 150
"""Bytes of a note that count when it is weighed what it takes, at most, and what its frame takes."""
_REMARK = 200
"""Characters of what metadata says that stand on a heading."""
TEXT_MAX = 1 << 20
"""Bytes of a note that are looked at."""


@dataclass(frozen=True)
class Recalled:
    """What was recalled: `text` is what a model is shown, at most the budget long.

    `matches` is how many notes were ranked; where `more` is set, more match. `behind` is how many changes the index
    had not seen, `embedded` how many of the notes that the agent sees are embedded (None: all, or no model is there).
    """

    text: str
    frames: tuple[Frame, ...]
    matches: int
    more: bool
    tokens: int
    behind: int
    embedded: Embedded | None


class _Candidate(NamedTuple):
    score: float
    found: Found
    meta: dict[str, Any]


def recall(
    session: Session,
    query: str,
    max_tokens: int = 4000,
    strategy: Strategy = "balanced",
    *,
    time_range: TimeRange | None = None,
    scope: str | None = None,
    as_of: Moment | None = None,
    step: Callable[[int], None] | None = None,
) -> Recalled:
    """What the agent may see about a subject, best first, whole notes where they fit and excerpts where they don't.

    `scope` is a directory to stay in, `as_of` a moment of the past to look at, by words (`step` is told how many notes
    are gone through for that). Raises Invalid for a budget below 1 or an unknown strategy.
    """
    if max_tokens < 1:
        raise Invalid(f"a budget is 1 token or more, not {max_tokens}")
    if strategy not in _WEIGHTS:
        raise Invalid(f"a strategy is one of {', '.join(_WEIGHTS)}, not {strategy!r}")
    tokens.prepare()
    since, until = time_range if isinstance(time_range, tuple) else (time_range, None)
    only = session.filter(under=scope or "/", since=since, until=until)
    wanted = min(_MOST, max(20, max_tokens // _NOTE_TOKENS))
    seen = session if as_of is None else session.at(as_of, step)
    ranked = seen.rank(query, wanted, "hybrid", only)
    now = time.time_ns() if seen.moment_ns is None else seen.moment_ns
    candidates = sorted(_weighed(ranked.names, strategy, now), key=lambda each: -each.score)
    whole = filter(None, (_framed(seen, each) for each in _worthwhile(candidates)))
    packed = pack(whole, query, max_tokens - tokens.count(_header(99, max_tokens)))
    frames = sorted(packed, key=lambda each: -each.score)
    more = len(ranked.names) == wanted
    if frames:
        text, shown = _document(frames, len(candidates), more, ranked.embedded, max_tokens)
    if not frames or not shown:
        shown, text = (
            0,
            tokens.cut(_nothing(len(candidates), more, max_tokens, session, only.under), max_tokens),
        )
    return Recalled(
        text, tuple(frames[:shown]), len(candidates), more, tokens.count(text), ranked.behind, ranked.embedded
    )


# --- choosing ------------------------------------------------------------------------------------


def _weighed(ranked: Sequence[tuple[Found, float]], strategy: Strategy, now: int) -> Iterator[_Candidate]:
    important, recent = _WEIGHTS[strategy]
    here = project_of()
    for found, relevance in ranked:
        assert found.stat is not None
        meta = {} if found.meta_json == EMPTY else json.loads(found.meta_json)
        recency = recency_of(meta, found.stat.modified_ns, now)
        score = relevance * (1 - important * (1 - importance_of(meta)) - recent * (1 - recency))
        score *= _standing(found.path, meta)
        if here and meta.get("project") not in (None, here):
            score *= _OTHER_PROJECT
        yield _Candidate(score, found, meta)


def _standing(path: str, meta: Mapping[str, Any]) -> float:
    """What is left of a score, by what has taken the note's place."""
    if meta.get("superseded_by"):
        return _SUPERSEDED
    if _is_archived(path, meta):
        return _ARCHIVED
    return _SUMMARISED if meta.get("summarised_in") else 1.0


def _is_archived(path: str, meta: Mapping[str, Any]) -> bool:
    """Whether a note was archived, and is still where it was put."""
    return bool(meta.get("archived_from")) and f"/{ARCHIVE}/" in path


def _worthwhile(candidates: Sequence[_Candidate]) -> list[_Candidate]:
    """The best one, then the others by their score for what they take: two short notes may say more than a long one."""

    def worth(candidate: _Candidate) -> float:
        assert candidate.found.stat is not None
        taken = min(candidate.found.stat.size, _LONG) + _FRAME
        return candidate.score / math.sqrt(taken)

    return [*candidates[:1], *sorted(candidates[1:], key=worth, reverse=True)]


def importance_of(meta: dict[str, Any]) -> float:
    """The importance of a note in [0, 1]; 0.5 where it says none."""
    given = meta.get("importance", 0.5)
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not math.isfinite(given):
        return 0.5
    return min(1.0, max(0.0, float(given)))


def recency_of(meta: Mapping[str, Any], written_ns: int, now: int) -> float:
    """How recent what a note tells of is, in [0, 1]: 1 now or later, half of it after 30 days."""
    age_days = max(0, now - happened_ns(meta, written_ns)) / DAY_NS
    return float(0.5 ** (age_days / _HALF_LIFE_DAYS))


# --- showing -------------------------------------------------------------------------------------


def _framed(session: Session | Retrospect, candidate: _Candidate) -> Frame | None:
    try:
        return frame_of(session, candidate.found, candidate.score, candidate.meta)
    except (NotFound, Denied, VersionGone, IndexError):
        return None  # moved, closed or removed since it was found


def frame_of(session: Session | Retrospect, found: Found, score: float, meta: Mapping[str, Any]) -> Frame:
    """A note that was found, as it is shown, whole; `meta` is its metadata, parsed. Raises NotFound, Denied."""
    path, stat = found.path, found.stat
    assert stat is not None
    data = session.read(path).data if stat.size <= TEXT_MAX else session.read_range(path, 0, TEXT_MAX)
    last = session.last_version(found)
    if b"\0" in data[:4096]:
        text = f"(binary, {stat.size:,} bytes)"
    else:
        text = redact(data.decode("utf-8", "replace").strip("\n")).text
    author, by = meta.get("author"), meta.get("superseded_by")
    remarks = [f"superseded by {str(by)[:_REMARK]}"] if by else []
    if _is_archived(path, meta):
        remarks.append("archived")
    if meta.get("summarised_in"):
        remarks.append(f"summed up in {str(meta['summarised_in'])[:_REMARK]}")
    if session.moment_ns is not None:
        remarks.append(f"as of {as_datetime(session.moment_ns).astimezone():%Y-%m-%d %H:%M}")
    return Frame(
        path,
        score,
        last.author,
        last.door,
        happened_ns(meta, stat.modified_ns),
        text,
        remarks=tuple(remarks),
        speaker="" if author in (None, last.author) else str(author)[:_REMARK],
        sequence=sequence_of(found),
    )


def _header(items: int, count: int) -> str:
    return f"## Relevant Memory ({items} {'item' if items == 1 else 'items'}, ~{count} tokens)\n\n"


def _document(
    frames: list[Frame], matches: int, more: bool, embedded: Embedded | None, max_tokens: int
) -> tuple[str, int]:
    """Header and as many of the frames as fit, mostly all, and how many these are; then what is left out, and why."""
    for shown in range(len(frames), 0, -1):
        body = text_of(frames[:shown])
        text = _header(shown, tokens.count(body)) + body
        if tokens.count(text) > max_tokens:
            continue
        rest = matches - shown
        remarks = [f"{rest}{' or more' if more else ''} not shown"] if rest > 0 else []
        if embedded is not None and embedded.waiting:
            remarks.append(
                f"{embedded.done:,} of {embedded.total:,} notes embedded, the others found by words only"
            )
        if remarks:
            longer = f"{text}\n({'; '.join(remarks)})\n"
            text = longer if tokens.count(longer) <= max_tokens else text
        return text, shown
    return "", 0


def _nothing(matches: int, more: bool, max_tokens: int, session: Session, under: str) -> str:
    """What is said where no note is shown."""
    if matches:
        which = "1 note matches" if matches == 1 else f"{matches}{' or more' if more else ''} notes match"
        return f"{which}; {max_tokens} tokens show none.\n"
    agent = on_one_line(session.principal.agent)
    where = "the shared spaces and the private one of " + agent if under == "/" else on_one_line(under)
    return f"Nothing found in {where}.\n"
