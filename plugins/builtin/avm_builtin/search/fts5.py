"""Searching the FTS5 table: all of an index up to some thousand notes, and the newest notes of a larger one.

Where everything is in it, one statement filters by visibility class and ranks, before anything is cut. Of the newest
notes of a larger index it tells only how often each has a word: what that counts is for scoring.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import apsw

from avm_builtin.search.scoring import BRIEF
from avm_builtin.search.text import Term
from vfs_core.search import SearchQuery
from vfs_core.visibility import Visible

_SEARCH = f"""
SELECT d.node, d.directory, -bm25(words) * (d.length + {BRIEF}) / (d.length + 2 * {BRIEF}) AS goodness
FROM words CROSS JOIN document d ON d.id = words.rowid CROSS JOIN directory p ON p.id = d.directory
WHERE words MATCH :match AND :store = (SELECT store_uuid FROM cursor)
  AND (p.within IN (SELECT value FROM json_each(:open))
      AND d.own IN (SELECT value FROM json_each(:readable))
    OR (p.within << 32 | d.own) IN (SELECT value FROM json_each(:shared))
    OR d.own IN (SELECT value FROM json_each(:granted)))
  AND (:labels IS NULL OR NOT EXISTS (SELECT 1 FROM json_each(:labels) WHERE instr(d.labels, value) = 0))
ORDER BY goodness DESC, d.node, d.directory LIMIT :limit
"""

_TIMES = "SELECT doc, count(*) FROM instance WHERE term = ? GROUP BY doc"
_TIMES_BY_PREFIX = "SELECT doc, count(*) FROM instance WHERE term >= ? AND term < ? GROUP BY doc"
_LAST = "\U0010ffff"


class Best(NamedTuple):
    """A document that matches, with its BM25 sum."""

    node: int
    directory: int
    bm25: float


def best(
    connection: apsw.Connection, store_uuid: str, query: SearchQuery, wanted: Sequence[Term], limit: int
) -> list[Best]:
    """The best visible documents of this store, equals by node id."""
    bindings: dict[str, str | int | None] = {
        "store": store_uuid,
        "match": " OR ".join(f'"{term.text}"*' if term.prefix else f'"{term.text}"' for term in wanted),
        "labels": json.dumps(labels(query)) if query.tags else None,
        "limit": limit,
        **_class_bindings(query.visible),
    }
    return [Best(*row) for row in connection.execute(_SEARCH, bindings)]


def times(connection: apsw.Connection, term: Term) -> list[tuple[int, int]]:
    """The documents that have a term, with how many times."""
    rows: Iterator[tuple[int, int]] = (
        connection.execute(_TIMES_BY_PREFIX, (term.text, term.text + _LAST))
        if term.prefix
        else connection.execute(_TIMES, (term.text,))
    )
    return list(rows)


def labels(query: SearchQuery) -> list[str]:
    """What must all stand in the labels of a document (documents.py)."""
    return [f"\n{tag}\n" for tag in query.tags]


def _class_bindings(visible: Visible) -> dict[str, str]:
    return {
        "open": json.dumps(list(visible.open)),
        "readable": json.dumps(list(visible.readable)),
        "shared": json.dumps([within << 32 | own for within, own in visible.shared]),
        "granted": json.dumps(list(visible.granted)),
    }
