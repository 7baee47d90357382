"""Recall: what an agent may see of a subject, as Markdown that never exceeds a budget of tokens."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, get_args

from avm_builtin.memory import tokens
from avm_builtin.memory.excerpts import excerpt
from avm_builtin.memory.frames import Frame, on_one_line
from avm_builtin.memory.namespaces import ARCHIVE
from avm_builtin.memory.projects import project_of
from avm_builtin.memory.redaction import redact
from vfs_core.errors import Denied, Invalid, NotFound
from vfs_core.moments import DAY_NS, Moment, as_ns

if TYPE_CHECKING:
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
_LEAST_TEXT = 8
"""Tokens of a note's text below which it is not shown."""
_JOINS = 3
"""Tokens more that a frame may be than its parts: where they meet, they are counted together."""
_FEW = 150
"""Tokens that a note may take even where others wait."""
_NOTE_TOKENS = 40
"""As short as notes are taken to be when it is decided how many to rank."""
_MOST = 500
_REMARK = 200
"""Characters of what metadata says that stand on a heading."""
TEXT_MAX = 1 << 20
"""Bytes of a note that are looked at."""


@dataclass(frozen=True)
class Recalled:
    """What was recalled: `text` is what a model is shown, at most the budget long.

    `matches` is how many notes were ranked; where `more` is set, more match. `behind` is how many changes the index
    had not seen.
    """

    text: str
    frames: tuple[Frame, ...]
    matches: int
    more: bool
    tokens: int
    behind: int


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
) -> Recalled:
    """What the agent may see about a subject, best first, whole notes where they fit and excerpts where they don't.

    `scope` is a directory to stay in. Raises Invalid for a budget below 1 or an unknown strategy.
    """
    if max_tokens < 1:
        raise Invalid(f"a budget is 1 token or more, not {max_tokens}")
    if strategy not in _WEIGHTS:
        raise Invalid(f"a strategy is one of {', '.join(_WEIGHTS)}, not {strategy!r}")
    span = _span(time_range)
    under = session.absolute(scope or "/")
    wanted = min(_MOST, max(20, max_tokens // _NOTE_TOKENS))
    ranked, behind = session.rank(query, wanted, under=under)
    candidates = sorted(_weighed(ranked, strategy, span), key=lambda each: -each.score)
    frames = _pack(session, query, candidates, max_tokens)
    more = len(ranked) == wanted
    if frames:
        text, shown = _document(frames, len(candidates), more, max_tokens)
    if not frames or not shown:
        shown, text = 0, tokens.cut(_nothing(len(candidates), more, max_tokens, session, under), max_tokens)
    return Recalled(text, tuple(frames[:shown]), len(candidates), more, tokens.count(text), behind)


def happened_ns(meta: Mapping[str, Any], written_ns: int) -> int:
    """When what a note tells of happened: its `time`, else when it was written."""
    try:
        return as_ns(str(meta["time"]))
    except (KeyError, Invalid):
        return written_ns


# --- choosing ------------------------------------------------------------------------------------


def _span(given: TimeRange | None) -> tuple[int, int]:
    since, until = given if isinstance(given, tuple) else (given, None)
    return 0 if since is None else as_ns(since), 2**63 if until is None else as_ns(until, end=True)


def _weighed(
    ranked: Sequence[tuple[Found, float]], strategy: Strategy, span: tuple[int, int]
) -> Iterator[_Candidate]:
    important, recent = _WEIGHTS[strategy]
    here, now = project_of(), time.time_ns()
    for found, relevance in ranked:
        assert found.stat is not None
        meta = json.loads(found.meta_json)
        moment = happened_ns(meta, found.stat.modified_ns)
        if not span[0] <= moment <= span[1]:
            continue
        age_days = max(0, now - moment) / DAY_NS
        recency = 0.5 ** (age_days / _HALF_LIFE_DAYS)
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


def importance_of(meta: dict[str, Any]) -> float:
    """The importance of a note in [0, 1]; 0.5 where it says none."""
    given = meta.get("importance", 0.5)
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not math.isfinite(given):
        return 0.5
    return min(1.0, max(0.0, float(given)))


# --- packing -------------------------------------------------------------------------------------


def _pack(session: Session, query: str, candidates: list[_Candidate], max_tokens: int) -> list[Frame]:
    """Frames that fit: each note whole where it is short or room is plenty, else the part that matches."""
    frames: list[Frame] = []
    seen: set[str] = set()
    room = max_tokens - tokens.count(_header(99, max_tokens))
    open_end: tuple[int, str] | None = None
    for number, candidate in enumerate(candidates):
        frame = _framed(session, candidate)
        if frame is None or frame.text in seen:
            continue
        seen.add(frame.text)
        bare = tokens.count(str(frame._replace(text=""))) + _JOINS
        if room < bare + _LEAST_TEXT:
            break
        share = room - bare
        if number + 1 < len(candidates):
            share = min(share, max(_FEW, share // 2))
        shown = frame._replace(text=excerpt(frame.text, query, share))
        frames.append(shown)
        room -= bare + tokens.count(shown.text)
        if shown.text != frame.text:
            open_end = len(frames) - 1, frame.text
    if open_end is not None and room > 0:
        # What is left goes to the last note that was cut.
        at, whole = open_end
        more = excerpt(whole, query, tokens.count(frames[at].text) + room)
        frames[at] = frames[at]._replace(text=more)
    return frames


def _framed(session: Session, candidate: _Candidate) -> Frame | None:
    try:
        return frame_of(session, candidate.found, candidate.score, candidate.meta)
    except (NotFound, Denied, IndexError):
        return None  # moved, closed or removed since it was found


def frame_of(session: Session, found: Found, score: float, meta: Mapping[str, Any]) -> Frame:
    """A note that was found, as it is shown, whole; `meta` is its metadata, parsed. Raises NotFound, Denied."""
    path, stat = found.path, found.stat
    assert stat is not None
    data = session.read(path).data if stat.size <= TEXT_MAX else session.read_range(path, 0, TEXT_MAX)
    last = session.history(path, 1)[0]
    if b"\0" in data[:4096]:
        text = f"(binary, {stat.size:,} bytes)"
    else:
        text = redact(data.decode("utf-8", "replace").strip("\n")).text
    remarks = []
    if meta.get("author") not in (None, last.author):
        remarks.append(f"attributed to {str(meta['author'])[:_REMARK]}")
    if meta.get("superseded_by"):
        remarks.append(f"superseded by {str(meta['superseded_by'])[:_REMARK]}")
    if _is_archived(path, meta):
        remarks.append("archived")
    if meta.get("summarised_in"):
        remarks.append(f"summed up in {str(meta['summarised_in'])[:_REMARK]}")
    moment = happened_ns(meta, stat.modified_ns)
    return Frame(path, score, last.author, last.door, moment, text, tuple(remarks))


def _header(items: int, count: int) -> str:
    return f"## Relevant Memory ({items} {'item' if items == 1 else 'items'}, ~{count} tokens)\n\n"


def _document(frames: list[Frame], matches: int, more: bool, max_tokens: int) -> tuple[str, int]:
    """Header and as many of the frames as fit, mostly all, and how many these are."""
    for shown in range(len(frames), 0, -1):
        body = "\n".join(map(str, frames[:shown]))
        text = _header(shown, tokens.count(body)) + body
        if tokens.count(text) > max_tokens:
            continue
        rest = matches - shown
        if rest > 0:
            longer = f"{text}\n({rest}{' or more' if more else ''} not shown)\n"
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
