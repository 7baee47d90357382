"""A query as the engine is asked it: terms with weights that hold for both tiers, and the hits that come back."""

from __future__ import annotations

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
    """Documents by id, with scores that fall, and whether there are more."""

    ids: Sequence[int]
    scores: Sequence[float]
    more: bool


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

    def hits(self, size: int, upto: int, hidden: Collection[int], *, final: bool) -> Hits:
        """The `size` best without those of a higher id and those in hidden directories.

        Scores are BM25 sums; `final` ones have been multiplied by the prior.
        """
        if not self._clauses:
            return Hits((), (), False)
        query = self._clauses[0][1] if len(self._clauses) == 1 else tantivy.Query.boolean_query(self._clauses)
        searcher = self._snapshot.searcher
        with told(self._snapshot.place):
            found = searcher.search(
                query, limit=size, count=False, weight_by_field=PRIOR if final else None
            ).hits
            addresses = [address for _, address in found]
            ids = _numbers(searcher, ID, addresses)
            directories = _numbers(searcher, DIRECTORY, addresses) if hidden else ids
        kept = [
            (id, score / 2 if final else score)
            for id, directory, (score, _) in zip(ids, directories, found, strict=True)
            if id <= upto and directory not in hidden
        ]
        return Hits([id for id, _ in kept], [score for _, score in kept], len(found) == size)

    def _add(self, query: tantivy.Query, weight: float) -> None:
        self._clauses.append((tantivy.Occur.Should, tantivy.Query.boost_query(query, weight)))

    def _forms(self, term: Term) -> Sequence[tuple[str, int]]:
        """The words that a term stands for, with how many documents have each."""
        searcher = self._snapshot.searcher
        if term.prefix:
            return searcher.terms_with_prefix(TOKENS, term.text)
        having = searcher.doc_freq(TOKENS, term.text)
        return [(term.text, having)] if having else []


def _numbers(searcher: tantivy.Searcher, field: str, addresses: list[tantivy.DocAddress]) -> Sequence[int]:
    """The values of a field that every document has, and that is of whole numbers."""
    return cast("list[int]", searcher.fast_field_values(field, addresses))
