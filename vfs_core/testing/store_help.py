"""What the topics of the store suite have in common: who acts, and how a store is looked at."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import pytest

from vfs_core.errors import Denied
from vfs_core.storage import Found, Head, Operation, Store, allow_all
from vfs_core.types import JSON, Origin, Version
from vfs_core.visibility import DirectoryClass, NodeClass

FOUNDER = Origin("founder", "founder", "python")
AKASHI = Origin("akashi", "founder", "cli", 1001, 1002)
KURO = Origin("kuro", "kuro", "mcp")

ODD_NAMES = (
    "局势 紧张.md",
    "中东局势",
    "  spaces  ",
    "line\nbreak",
    "tab\tquote'\"`",
    "percent%_*?[x]",
    "back\\slash",
    "colon:tags?x=1",
    "-rf",
    ".hidden",
    "...",
    "ÅÄÖ \u00e9",
    "e\u0301",
    "🐙",
    "a\u200bb",
    "x" * 255,
    "名" * 85,
)
"""Names that a directory must keep as they are."""


class StoreFixtures:
    """What an implementer overrides."""

    @pytest.fixture
    def store(self) -> Iterator[Store]:
        """A fresh store that can be written, made by FOUNDER's agent; closed again after the test."""
        raise NotImplementedError("override the fixture `store`: yield a fresh, writable store and close it")

    @pytest.fixture
    def second(self, store: Store) -> Iterator[Store]:
        """The same store opened once more, as by another process; itself, if it ends with its process."""
        yield store


def put(
    store: Store,
    path: str,
    data: bytes = b"text",
    origin: Origin = AKASHI,
    *,
    patch: Mapping[str, JSON] | None = None,
) -> Version:
    """Write a file in a transaction of its own."""
    with store.transaction(origin, allow_all) as transaction:
        return transaction.write(path, data, patch=patch)


def share(store: Store, path: str, agent: str, origin: Origin = AKASHI) -> None:
    """Let an agent read, in a transaction of its own."""
    with store.transaction(origin, allow_all) as transaction:
        transaction.share(path, agent, "r")


def id_of(store: Store, path: str) -> int:
    """The id of the node at a path, which must be there."""
    stat = store.find(path).stat
    assert stat is not None, f"{path} is not there"
    return stat.id


def names(store: Store, path: str) -> list[str]:
    """All names in a directory, in the store's order."""
    found: list[str] = []
    while True:
        page = store.children(path, found[-1] if found else "", 100)
        found += [entry.path.rpartition("/")[2] for entry in page.entries]
        if not page.more:
            return found


def everything(store: Store, *, content: bool = True) -> list[Found]:
    """Every name of the store but the root's, by path."""
    found: list[Found] = []
    after = 0
    while page := store.scan(after, 100, content=content):
        found += page
        after = max(each.stat.id for each in page if each.stat is not None)
    return sorted((each for each in found if each.path != "/"), key=lambda each: each.path)


class Picture(NamedTuple):
    """All that can be seen of a store: equal pictures, nothing changed."""

    head: Head
    names: list[Found]
    classes: list[tuple[int, DirectoryClass | NodeClass]]
    users: list[str]
    links: list[object]
    usage: list[object]


def picture(store: Store) -> Picture:
    """Look at everything."""
    found = everything(store)
    links = [row for each in found if each.stat is not None for row in store.links(each.stat.id)]
    usage: list[object] = [*sorted(store.usage()), *sorted(store.tag_usage())]
    return Picture(store.head(), found, store.classes(), sorted(store.users()), list(links), usage)


class Known(NamedTuple):
    """One name without the ids and times that two stores may not have in common."""

    path: str
    kind: str
    mode: int
    owner: str
    group: str
    size: int
    version: int
    data: bytes
    numbers: tuple[int, ...]
    """Links, uid, gid, device."""
    attributes: dict[str, bytes]
    meta: dict[str, JSON]
    within: DirectoryClass
    own: NodeClass
    links: list[tuple[str, str, float]]
    versions: list[tuple[int, str, int, bytes, str, bytes | None]]


def known(store: Store) -> list[Known]:
    """The store as it can be compared with another: classes by value, links by path."""
    found = everything(store)
    paths = {each.stat.id: each.path for each in found if each.stat is not None}
    result = []
    for path, stat, within, own, _parent, _sequence, _directory, meta_json, data in found:
        assert stat is not None
        links = sorted(
            (row.kind, paths[row.target], row.weight)
            for row in store.links(stat.id)
            if row.source == stat.id and row.target in paths
        )
        versions = [
            (
                version.version,
                version.author,
                version.size,
                version.content_hash,
                version.operation,
                store.version_content(stat.id, version.version),
            )
            for version in store.versions(stat.id, limit=1000)
        ]
        result.append(
            Known(
                path,
                str(stat.kind),
                stat.mode,
                stat.owner,
                stat.group,
                stat.size,
                stat.version if not stat.is_directory else 0,
                data,
                (stat.links, stat.uid, stat.gid, stat.device),
                store.attributes(stat.id),
                json.loads(meta_json),
                store.directory_class(within),
                store.node_class(own),
                links,
                versions,
            )
        )
    return result


def in_trash(store: Store) -> list[tuple[str, str, int]]:
    """What can be restored: the path that it had, its owner, its version."""
    return sorted((each.path, each.stat.owner, each.stat.version) for each in store.past.trash(limit=10_000))


def tree_at(store: Store, sequence: int) -> dict[str, tuple[str, bytes | None, str]]:
    """All names at a moment, each with kind, content and metadata."""
    past = store.past
    tree: dict[str, tuple[str, bytes | None, str]] = {}
    waiting = [("/", 1)]
    while waiting:
        path, directory = waiting.pop()
        after = ""
        while page := past.names_at(directory, sequence, after, 7):
            after = page[-1].name
            for row in page:
                stat = past.stat(row.node)
                if stat is None or not row.name:
                    continue
                assert past.name_at(directory, row.name, sequence) == row
                at = f"{path.rstrip('/')}/{row.name}"
                version = past.version_at(row.node, sequence)
                data = None if version is None else store.version_content(row.node, version.version)
                tree[at] = str(stat.kind), data, past.meta_at(row.node, sequence)
                if stat.is_directory:
                    waiting.append((at, row.node))
    return tree


class Asked(NamedTuple):
    """One question that a store asked its check."""

    operation: Operation
    path: str
    present: bool


class Recorder:
    """A check that remembers what it was asked, and refuses the question numbered `refuse` (from 1)."""

    def __init__(self, refuse: int = 0) -> None:
        self.found: list[tuple[Operation, Found]] = []
        self._refuse = refuse

    def __call__(self, operation: Operation, found: Found) -> None:
        """Take a question."""
        self.found.append((operation, found))
        if len(self.found) == self._refuse:
            raise Denied(f"{found.path}: question {self._refuse} is refused")

    @property
    def asked(self) -> list[Asked]:
        """The questions, in order."""
        return [Asked(operation, found.path, found.stat is not None) for operation, found in self.found]
