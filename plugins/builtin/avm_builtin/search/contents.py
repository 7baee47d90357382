"""Reading many files of a store for an index: their names by node, and their contents in batches that memory bears."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from vfs_core.storage import Found, Store

_BATCH_BYTES = 8 << 20
"""Content held in memory at a time, unless one file is larger."""
MAX_FILE = 64 << 20
"""Bytes of a file above which its content is not even read: only its name and metadata are indexed."""


def by_node(names: Iterable[Found]) -> dict[int, list[Found]]:
    """The names of each node."""
    grouped: dict[int, list[Found]] = {}
    for found in names:
        if found.stat is not None:
            grouped.setdefault(found.stat.id, []).append(found)
    return grouped


def with_contents(store: Store, files: Mapping[int, Sequence[Found]]) -> Iterator[dict[int, list[Found]]]:
    """These files again, batch by batch, with their contents; a file that is too large stays without."""
    batch: list[int] = []
    size = 0
    for node, names in files.items():
        length = names[0].stat.size if names[0].stat is not None else 0
        if length > MAX_FILE:
            yield {node: list(names)}
            continue
        if batch and size + length > _BATCH_BYTES:
            yield by_node(store.nodes(batch, content=True))
            batch, size = [], 0
        batch.append(node)
        size += length
    if batch:
        yield by_node(store.nodes(batch, content=True))


def text_of(data: bytes, most: int) -> str:
    """The text of a content's first `most` bytes, or "" where that is not UTF-8."""
    head = data[:most]
    try:
        return head.decode()
    except UnicodeDecodeError as error:
        if len(data) > most and error.end >= len(head) and len(head) - error.start < 4:
            # Not wrong, only cut in the middle of a character.
            return head[: error.start].decode()
        return ""
