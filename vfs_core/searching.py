"""Search: by words, by what is meant, or by both, always of what the agent may see.

Indexes filter by visibility class before they cut; every hit is checked once more against the store, the rules and
what the caller asked for, and more are taken until there are enough. What brings a hit up is decided in `ranking`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias, TypeVar, get_args

from vfs_core import neighbours, ranking
from vfs_core.errors import Denied, Invalid, MissingExtra, NotFound, VfsError
from vfs_core.follower import Progress, Runner
from vfs_core.meta import happened_ns, tags_of
from vfs_core.path import is_within
from vfs_core.search import SearchQuery
from vfs_core.semantic import Answer, Embedded, Near, SemanticIndex
from vfs_core.storage import Found, Operation
from vfs_core.types import Hit

if TYPE_CHECKING:
    from vfs_core.permissions import Judge
    from vfs_core.session import Session

Mode: TypeAlias = Literal["lexical", "semantic", "hybrid"]
MODES: tuple[Mode, ...] = get_args(Mode)
CATCH_UP_SECONDS = 2.0
"""How long a search waits for an index to take in what is new."""
EMBED_SECONDS = 1.0
"""How long it goes on embedding what waits, before it answers with what there is."""
_ROUND_SECONDS, _PAUSE_SECONDS = 10.0, 0.1
"""Of embedding everything: how long in one go, and how long another process that does it is waited for."""
_FAR = 0.9
"""The share of notes from which on a new model is asked, and not the former any more."""
MAX_HITS = 1_000_000
MAX_STEPS = 10
_PER_STEP = 0.5
_PAGE = 20
"""Matches that are looked up at a time, at least."""
_SNIPPET_BYTES = 4 * 1024 * 1024
_FOREVER = 2**63 - 1

T = TypeVar("T")


@dataclass(frozen=True)
class Filter:
    """What a hit must be, beside a match: below a directory, with all of the tags, by an author, of a time.

    `author` is who is named in the metadata, else who wrote it last; times are nanoseconds since the epoch, of when
    it happened.
    """

    under: str = "/"
    tags: frozenset[str] = frozenset()
    author: str = ""
    since_ns: int = 0
    until_ns: int = _FOREVER

    def keeps(self, found: Found) -> bool:
        """Whether a name is one of those."""
        if not is_within(found.path, self.under):
            return False
        if not (self.tags or self.author or self.since_ns or self.until_ns < _FOREVER):
            return True
        assert found.stat is not None
        meta = json.loads(found.meta_json)
        if not self.tags <= set(tags_of(found.meta_json)):
            return False
        if self.author and self.author.casefold() != str(meta.get("author") or found.stat.owner).casefold():
            return False
        return self.since_ns <= happened_ns(meta, found.stat.modified_ns) <= self.until_ns


EVERYTHING = Filter()


class Results(list[Hit]):
    """The hits of a search, best first."""

    def __init__(self, hits: Iterable[Hit] = (), behind: int = 0, embedded: Embedded | None = None) -> None:
        super().__init__(hits)
        self.behind = behind
        """How many changes the index had not seen (0: it was up to date). It takes them in before a search, except
        where this process cannot write it, or not in time."""
        self.embedded = embedded
        """How many of the notes that the agent sees were embedded; None: all, or that did not matter."""


class Ranked(NamedTuple):
    """Names that match with their scores in [0, 1], best first, and how many changes the index had not seen.

    `embedded` is as in Results; `parts` says by node which part of a note is nearest to the query, where that is known.
    """

    names: list[ranking.Scored]
    behind: int
    embedded: Embedded | None
    parts: Mapping[int, Near]


def search(session: Session, query: str, limit: int, mode: Mode, only: Filter) -> Results:
    """Search, with a snippet of what each hit says now."""
    judge, backend = session.judge, session.kernel.search_backend()
    ranked = rank(session, query, limit, mode, only)
    hits = []
    for found, score in ranked.names:
        assert found.stat is not None
        current = found
        if found.stat.size <= _SNIPPET_BYTES:
            try:
                current = judge.store.read(found.path, lambda each: judge.check(Operation.SEARCH, each))
            except (NotFound, Denied):
                continue  # closed, moved or deleted since: the next search will say so
        if current.stat is None or current.stat.id != found.stat.id:
            continue
        text = current.data.decode("utf-8", "replace")
        near = ranked.parts.get(found.stat.id)
        if near is not None:
            text = text[near.start : near.start + near.length]
        hits.append(Hit(found.path, score, backend.snippet(text, query), current.stat, current.meta_json))
    return Results(hits, ranked.behind, ranked.embedded)


def retrieve(session: Session, query: str, limit: int, expand: int) -> Results:
    """Search by words and meaning, and follow the links of the hits: at most `limit` notes more.

    What a link leads to has half of the score of what it leads from, times the link's weight if that is below 1.
    """
    if not 0 <= expand <= MAX_STEPS:
        raise Invalid(f"links are followed for 0 to {MAX_STEPS} steps, not {expand}")
    results = search(session, query, limit, "hybrid", EVERYTHING)
    backend = session.kernel.search_backend()
    known = {hit.path for hit in results}
    edge = list(results)
    for _ in range(expand):
        led_to: dict[str, float] = {}
        for hit in edge:
            for link in session.links(hit.path):
                if link.target not in known:
                    score = _PER_STEP * min(1.0, link.weight) * hit.score
                    led_to[link.target] = max(score, led_to.get(link.target, 0.0))
        edge = []
        for path, score in sorted(led_to.items(), key=lambda item: (-item[1], item[0])):
            if len(known) >= 2 * limit:
                break
            try:
                node = session.read(path)
            except VfsError:
                continue  # a directory, or gone since
            known.add(path)
            snippet = backend.snippet(node.data.decode("utf-8", "replace"), query)
            edge.append(Hit(path, score, snippet, node.stat, node.meta_json))
        results += edge
    return results


def rank(session: Session, query: str, limit: int, mode: Mode, only: Filter) -> Ranked:
    """Ask the indexes, check what they give until there is enough, and put it in order."""
    if not 1 <= limit <= MAX_HITS:
        raise Invalid(f"limit is from 1 to {MAX_HITS:,}, not {limit}")
    if mode not in MODES:
        raise Invalid(f"mode is one of {', '.join(MODES)}, not {mode!r}")
    runner = None if mode == "lexical" else _runner(session, mode)
    if runner is None:
        names, behind = _by_words(session, query, limit, only)
        return Ranked(names, behind, None, {})
    return _by_both(session, query, limit, only, runner, with_words=mode == "hybrid")


# --- by words ------------------------------------------------------------------------------------


def _by_words(session: Session, query: str, limit: int, only: Filter) -> tuple[list[ranking.Scored], int]:
    judge = session.judge
    matches, behind = _matches(session, query, limit, only)
    first = list(islice(first_of_each(matches), ranking.DEPTH))
    checked = _checked(judge, chain(first, matches), max(limit, _PAGE), only.keeps)
    # Where classes say all, the scores of the others tell how the evidence falls, without looking them up.
    others = [score for _, score in first] if judge.sees_by_class and only == EVERYTHING else []
    return best(query, limit, checked, others), behind


def best(
    query: str, limit: int, checked: Iterator[tuple[Found | None, float]], others: Sequence[float] = ()
) -> list[ranking.Scored]:
    """The first `limit` of what an index gives for the words of a query, in order; None stands for what is not kept.

    `others` are scores from the first on, of as many as the caller knows of.
    """
    chosen: list[ranking.Candidate] = []
    enough = max(limit, _PAGE)
    related = False
    for seen, (found, score) in enumerate(checked, 1):
        if found is not None:
            chosen.append(ranking.Candidate(found, score))
            related = related or ranking.has_context(found)
        if len(chosen) >= limit and seen >= (max(limit, ranking.DEPTH) if related else enough):
            break
    return ranking.rank(query, chosen, others[len(chosen) :])[:limit]


def _matches(
    session: Session, query: str, limit: int, only: Filter
) -> tuple[Iterator[tuple[int, float]], int]:
    """Nodes that have the words, with their scores, and how far the index is behind."""
    behind = session.kernel.search().catch_up(CATCH_UP_SECONDS)
    wanted = SearchQuery(query, session.judge.visible(), max(limit, ranking.DEPTH), only.tags)
    matches = session.kernel.search_backend().search(wanted)
    return ((match.node, match.score) for match in matches), behind


# --- by what is meant, and by both ---------------------------------------------------------------


def embed(session: Session, progress: Progress | None) -> int:
    """Embed until nothing waits; returns how many parts of notes are embedded since."""
    runner = session.kernel.semantic()
    if runner is None:
        return 0
    index = runner.follower
    runner.catch_up(CATCH_UP_SECONDS)
    before = index.waiting()
    while index.embed(runner, _ROUND_SECONDS, progress):
        if not session.store.writable:
            break
        time.sleep(_PAUSE_SECONDS)
    return max(0, before - index.waiting())


def save_vectors(session: Session) -> None:
    """Have the semantic index write what it writes once in a while."""
    runner = session.kernel.semantic()
    if runner is not None and runner.follower.writable:
        runner.follower.settle(runner)


def embedded(session: Session) -> Embedded | None:
    """How many of the notes that the agent sees are embedded; None without a model."""
    runner = session.kernel.semantic()
    if runner is None:
        return None
    runner.catch_up(CATCH_UP_SECONDS)
    return runner.follower.embedded(session.judge.visible())


class _Meant(NamedTuple):
    """What the semantic index says to a query."""

    answer: Answer
    behind: int
    embedded: Embedded | None


def _runner(session: Session, mode: Mode) -> Runner[SemanticIndex] | None:
    """The semantic index. None where there is no model, and words do; raises MissingExtra where they do not."""
    runner = session.kernel.semantic()
    if runner is None and mode == "semantic":
        embedder = session.kernel.embedder()
        cure = f"; type: {embedder.advice}" if embedder.advice else ""
        raise MissingExtra(f"nothing can be found by what it means: {embedder.reason}{cure}")
    return runner


def _meant(session: Session, query: str, runner: Runner[SemanticIndex]) -> _Meant:
    """Ask the semantic index, once it has taken in what is new and embedded what it can in a second."""
    kernel, visible, index = session.kernel, session.judge.visible(), runner.follower
    behind = runner.catch_up(CATCH_UP_SECONDS)
    waiting = index.embed(runner, EMBED_SECONDS)
    if not waiting:
        return _Meant(index.ask(query, visible), behind, None)
    kernel.embed_in_background()
    done = index.embedded(visible)
    if done.done < _FAR * done.total:
        former = kernel.former_semantic(index)
        if former is not None:
            former.catch_up(CATCH_UP_SECONDS)
            return _Meant(former.follower.ask(query, visible), behind, done)
    return _Meant(index.ask(query, visible), behind, done)


def _by_both(
    session: Session, query: str, limit: int, only: Filter, runner: Runner[SemanticIndex], *, with_words: bool
) -> Ranked:
    """The first of both indexes put in order together, with what each says of the other's."""
    judge = session.judge
    depth = ranking.DEPTH if limit <= 2 * ranking.DEPTH else limit
    matches, behind = _matches(session, query, depth, only)
    enough = depth if with_words else _PAGE
    words = _first(_checked(judge, matches, enough, only.keeps), enough)
    meant = _meant(session, ranking.meant(query, (found for found, _ in words.values())), runner)
    nearest = ((near.node, near) for near in meant.answer.nearest())
    near = _first(_checked(judge, nearest, depth, only.keeps), depth)
    parts = {node: each for node, (_, each) in near.items()}
    parts |= meant.answer.of([node for node in words if node not in parts])
    if not with_words:
        words = {}  # they have told who is asked for, and count no further
    said = {node: score for node, (_, score) in words.items()}

    def candidate(node: int, found: Found) -> ranking.Candidate:
        return ranking.Candidate(found, said.get(node, 0.0), parts[node].score if node in parts else None)

    found = {node: name for node, (name, _) in (*words.items(), *near.items())}
    candidates = [candidate(node, name) for node, name in found.items()]
    late = {
        name.stat.id: name
        for name in neighbours.following(judge, ranking.leading(candidates, neighbours.FIRST))
        if name.stat is not None and name.stat.id not in found and only.keeps(name)
    }
    parts |= meant.answer.of(list(late))
    candidates += [candidate(node, name) for node, name in late.items()]
    hits = [hit for hit in ranking.rank(query, candidates) if hit[1] or not with_words]
    return Ranked(hits[:limit], max(behind, meant.behind), meant.embedded, parts)


def _first(checked: Iterator[tuple[Found | None, T]], count: int) -> dict[int, tuple[Found, T]]:
    """The first so many that are kept, by node."""
    first: dict[int, tuple[Found, T]] = {}
    for found, value in checked:
        if found is not None and found.stat is not None:
            first[found.stat.id] = found, value
            if len(first) >= count:
                break
    return first


# --- checking ------------------------------------------------------------------------------------


def _checked(
    judge: Judge, matches: Iterator[tuple[int, T]], size: int, keeps: Callable[[Found], bool]
) -> Iterator[tuple[Found | None, T]]:
    """For each node that the agent may find, the first name that is kept, if any; looked up page by page."""
    fresh = first_of_each(matches)
    while page := list(islice(fresh, size)):
        names: dict[int, list[Found]] = {}
        for found in judge.store.nodes([node for node, _ in page]):
            if found.stat is not None and judge.allows(Operation.SEARCH, found):
                names.setdefault(found.stat.id, []).append(found)
        for node, value in page:
            if node in names:
                yield next((found for found in names[node] if keeps(found)), None), value
        size = max(size, ranking.DEPTH - size)


def first_of_each(matches: Iterable[tuple[int, T]]) -> Iterator[tuple[int, T]]:
    """One match for each node: hard links match more than once."""
    seen: set[int] = set()
    for node, value in matches:
        if node not in seen:
            seen.add(node)
            yield node, value
