"""A query as the engine is asked it: terms with weights that hold for both tiers, and the hits that come back."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from typing import NamedTuple, cast

import tantivy

from avm_builtin.search import scoring
from avm_builtin.search.engine import DIRECTORY, ID, PRIOR, SCHEMA, TOKENS, Snapshot, told
from avm_builtin.search.text import Term

_FORMS = 64
"""Words with a common beginning that are scored one by one; of more it counts only that one is there."""


class Hits(NamedTuple):
    """Documents by id, with scores that fall; whatever is not among them scores at most `rest` (0: there is none)."""

    ids: Sequence[int]
    scores: Sequence[float]
    rest: float


NO_HITS = Hits((), (), 0.0)


class Question:
    """One query to one snapshot."""

    def __init__(
        self, snapshot: Snapshot, wanted: Sequence[Term], newest: Sequence[int], waiting: int
    ) -> None:
        """`newest`: how many of the `waiting` documents that are not in the engine have each of the terms."""
        self._snapshot = snapshot
        self.weights: list[float] = []
        """What each term weighs, by the frequencies of both tiers."""
        self._clauses: list[tuple[tantivy.Occur, tantivy.Query]] = []
        documents = snapshot.documents + waiting
        with told(snapshot.place):
            for term, more in zip(wanted, newest, strict=True):
                forms = self._forms(term)
                weight = scoring.idf(documents, sum(having for _, having in forms) + more)
                self.weights.append(weight)
                if len(forms) > _FORMS:
                    any_form = tantivy.Query.regex_query(SCHEMA, TOKENS, re.escape(term.text) + ".*")
                    self._add(any_form, weight)
                    continue
                for text, having in forms:
                    plain = scoring.tantivy_idf(snapshot.documents, having)
                    self._add(tantivy.Query.term_query(SCHEMA, TOKENS, text, "freq"), weight / plain)

    def best(self, size: int, upto: int) -> Hits:
        """What is surely best, by the `size` best by BM25 alone, without documents of a higher id."""
        found, addresses = self._search(size, None)
        if not found:
            return NO_HITS
        priors = map(_PRIORS.__getitem__, self._floats(PRIOR, addresses))
        rest = found[-1][0] if len(found) == size else 0.0  # a prior only lowers a score
        scored = [
            (-final, id)
            for id, prior, (score, _) in zip(self._numbers(ID, addresses), priors, found, strict=True)
            if id <= upto and (final := score * prior) >= rest
        ]
        scored.sort()
        return Hits([id for _, id in scored], [-score for score, _ in scored], rest)

    def ranked(self, size: int, upto: int, hidden: Collection[int]) -> Hits:
        """The `size` best, without documents of a higher id and those in hidden directories."""
        found, addresses = self._search(size, PRIOR)
        if not found:
            return NO_HITS
        ids = self._numbers(ID, addresses)
        directories = self._numbers(DIRECTORY, addresses) if hidden else ids
        kept = [
            (id, score / 2)
            for id, directory, (score, _) in zip(ids, directories, found, strict=True)
            if id <= upto and directory not in hidden
        ]
        rest = found[-1][0] / 2 if len(found) == size else 0.0
        return Hits([id for id, _ in kept], [score for _, score in kept], rest)

    def _search(
        self, size: int, weigh_by: str | None
    ) -> tuple[list[tuple[float, tantivy.DocAddress]], list[tantivy.DocAddress]]:
        if not self._clauses:
            return [], []
        query = self._clauses[0][1] if len(self._clauses) == 1 else tantivy.Query.boolean_query(self._clauses)
        with told(self._snapshot.place):
            found = self._snapshot.searcher.search(query, size, count=False, weight_by_field=weigh_by).hits
        return found, [address for _, address in found]

    def _add(self, query: tantivy.Query, weight: float) -> None:
        self._clauses.append((tantivy.Occur.Should, tantivy.Query.boost_query(query, weight)))

    def _forms(self, term: Term) -> Sequence[tuple[str, int]]:
        """The words that a term stands for, with how many documents have each."""
        searcher = self._snapshot.searcher
        if term.prefix:
            return searcher.terms_with_prefix(TOKENS, term.text)
        having = searcher.doc_freq(TOKENS, term.text)
        return [(term.text, having)] if having else []

    def _numbers(self, field: str, addresses: list[tantivy.DocAddress]) -> list[int]:
        return cast("list[int]", self._snapshot.searcher.fast_field_values(field, addresses))

    def _floats(self, field: str, addresses: list[tantivy.DocAddress]) -> list[float]:
        return cast("list[float]", self._snapshot.searcher.fast_field_values(field, addresses))


class _Priors(dict[float, float]):
    """The priors behind what the index has of them."""

    def __missing__(self, stored: float) -> float:
        prior = self[stored] = math.log2(2 + stored) / 2
        return prior


_PRIORS = _Priors()
