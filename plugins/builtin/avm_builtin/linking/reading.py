"""One run of the links follower: what has changed is read and looked for, then links are made and taken away."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from avm_builtin.linking import tables
from avm_builtin.linking.mentions import Mention, mentions
from avm_builtin.linking.resolving import Resolver
from avm_builtin.linking.tables import ENDINGS, Said
from avm_builtin.search.contents import by_node
from vfs_core import journal
from vfs_core.errors import Denied, NotFound, StoreReplaced
from vfs_core.identity import login
from vfs_core.path import split
from vfs_core.storage import Found, Store, Transaction, allow_all
from vfs_core.types import MENTION, Kind

if TYPE_CHECKING:
    import apsw

    from vfs_core.session import Session

Pair: TypeAlias = tuple[int, int]
"""A note that mentions another, and the other."""

_AT_ONCE = 500
"""Nodes looked up at a time."""
_TEXT_MAX = 1 << 20
"""Bytes of a note that are read."""
_BATCH_BYTES = 8 << 20
_VERSIONS = 100
"""Versions of one note that are looked at for who brought in what."""
_WRITING = frozenset({*journal.CONTENT_OPERATIONS, journal.META})
"""Operations that change nothing of who finds a note."""


def files_of(store: Store) -> Iterator[dict[int, list[Found]]]:
    """All files of the store, each with its names, a page at a time."""
    after = 0
    while found := store.scan(after, _AT_ONCE):
        after = max(each.stat.id for each in found if each.stat is not None)
        yield {node: names for node, names in _by_node(found).items() if _kind(names) is Kind.FILE}


class Run:
    """`act_for` gives the session of an agent. The side file commits with what `take_in` has done, or not at all."""

    def __init__(self, connection: apsw.Connection, store: Store, act_for: Callable[[str], Session]) -> None:
        self._connection = connection
        self._store = store
        self._act_for = act_for
        self._resolver = Resolver(partial(tables.named, connection), act_for)
        self._linked: dict[int, set[int]] = {}
        self._make: dict[str, dict[Pair, list[Said]]] = defaultdict(lambda: defaultdict(list))
        self._take_away: dict[str, set[Pair]] = defaultdict(set)

    def take_in(self, operations: Mapping[int, Collection[str]]) -> None:
        """Nodes with what was done to them."""
        come: set[str] = set()
        everything = False
        files: dict[int, list[Found]] = {}
        for chunk in _chunks(sorted(operations)):
            present = _by_node(self._store.nodes(chunk))
            for node in chunk:
                done = set(operations[node])
                if node not in present:
                    come |= tables.drop(self._connection, node)
                elif _kind(present[node]) is Kind.FILE:
                    keys = tables.keys_of(present[node])
                    if tables.set_keys(self._connection, node, keys) or done - _WRITING:
                        come |= keys
                    files[node] = present[node]
                elif done - _WRITING:
                    everything = True  # a directory that was moved or opened: who knows what is in it
        self._read(files)
        self._look_again(tables.by_key(self._connection, come))
        if everything:
            self._look_again(tables.waiting(self._connection))
        self._compare([node for node in files if journal.RESTORE in operations[node]])
        self._commit()

    def take_in_all(self, files: Mapping[int, Sequence[Found]]) -> None:
        """Files of which nothing is known but the names."""
        self._read(files)
        self._commit()

    # --- reading ---------------------------------------------------------------------------------

    def _read(self, files: Mapping[int, Sequence[Found]]) -> None:
        """Read those whose text is another than it was, no more at a time than memory bears."""
        batch: list[int] = []
        size = 0
        for node, names in files.items():
            stat = names[0].stat
            assert stat is not None
            if tables.version_read(self._connection, node) == stat.version:
                continue
            if not _is_text(names):
                self._read_note(names[0], "")
            elif stat.size > _TEXT_MAX:
                self._read_note(names[0], _text(self._store.read_range(names[0].path, 0, _TEXT_MAX).data))
            else:
                batch.append(node)
                size += stat.size
            if size > _BATCH_BYTES:
                self._read_notes(batch)
                batch, size = [], 0
        self._read_notes(batch)

    def _read_notes(self, nodes: Sequence[int]) -> None:
        for chunk in _chunks(nodes):
            for names in _by_node(self._store.nodes(chunk, content=True)).values():
                self._read_note(names[0], _text(names[0].data))

    def _read_note(self, found: Found, text: str) -> None:
        """Find what a text mentions, and see which links follow."""
        assert found.stat is not None
        source, read_before = found.stat.id, tables.version_read(self._connection, found.stat.id)
        mentioned = mentions(text)
        linked = self._links_of(source)
        said = []
        if mentioned:
            known = self._attributed(source, read_before or 0, found.stat.version, mentioned)
            for each in known:
                target = each.target
                if target is None:
                    target = self._resolver.target(each.mention, found.path, each.author)
                said.append(each._replace(target=None if target == source else target))
            if read_before is None:
                said = self._adopt(said, linked)
        for each in said:
            self._want(each)
        gone = linked - {each.target for each in said}
        if gone:
            self._take_away[self._author(source)] |= {(source, target) for target in gone}
        tables.replace(self._connection, source, found.stat.version, said)

    def _attributed(self, node: int, after: int, last: int, mentioned: Sequence[Mention]) -> list[Said]:
        """What a version mentions, each for who brought it in; `after` is the version that was read before."""
        store = self._store
        said = tables.mentioned(self._connection, node)
        unread = [each for each in store.versions(node, last + 1, _VERSIONS) if each.version > after]
        if len({each.author for each in unread}) > 1:
            for version in reversed(unread[1:]):
                data = store.version_content(node, version.version)
                if data is not None:
                    said = {
                        mention: said.get(mention) or Said(node, mention, version.author, None)
                        for mention in mentions(_text(data[:_TEXT_MAX]))
                    }
        author = unread[0].author if unread else self._author(node)
        return [said.get(mention) or Said(node, mention, author, None) for mention in mentioned]

    def _adopt(self, said: Sequence[Said], linked: set[int]) -> list[Said]:
        """Let links that are there stand for mentions that lead nowhere: their notes may have been renamed since."""
        spare = sorted(linked - {each.target for each in said})
        living = {found.stat.id for found in self._store.nodes(spare) if found.stat is not None}
        candidates = iter([node for node in spare if node in living])
        return [
            each if each.target is not None else each._replace(target=next(candidates, None)) for each in said
        ]

    def _author(self, node: int) -> str:
        """Who wrote what a note says; whose it is, where no version tells."""
        versions = self._store.versions(node, None, 1)
        if versions:
            return versions[0].author
        stat = self._store.past.stat(node)
        return login() if stat is None else stat.owner

    # --- looking again ---------------------------------------------------------------------------

    def _look_again(self, said: Sequence[Said]) -> None:
        """Whether what was mentioned and not found is there now, or something nearer of the same name."""
        of: dict[int, list[Said]] = defaultdict(list)
        for each in said:
            of[each.source].append(each)
        for chunk in _chunks(sorted(of)):
            for source, names in _by_node(self._store.nodes(chunk)).items():
                self._look_again_for(source, names[0].path, of[source])

    def _look_again_for(self, source: int, path: str, said: Sequence[Said]) -> None:
        moved = False
        for each in said:
            target = self._resolver.target(each.mention, path, each.author)
            if target not in (None, source, each.target):
                tables.set_target(self._connection, each, target)
                self._want(each._replace(target=target))
                moved = moved or each.target is not None
        if moved:
            targets = {each.target for each in tables.mentioned(self._connection, source).values()}
            if gone := self._links_of(source) - targets:
                self._take_away[self._author(source)] |= {(source, target) for target in gone}

    def _compare(self, restored: Sequence[int]) -> None:
        """Take away links to notes that came back and are not mentioned any more."""
        for node in restored:
            for row in self._store.links(node):
                if (row.kind, row.target) == (MENTION, node):
                    said = tables.mentioned(self._connection, row.source).values()
                    if node not in {each.target for each in said}:
                        self._take_away[self._author(row.source)].add((row.source, node))

    # --- links -----------------------------------------------------------------------------------

    def _links_of(self, source: int) -> set[int]:
        """Where the links of a note lead that its text has made."""
        linked = self._linked.get(source)
        if linked is None:
            rows = self._store.links(source)
            linked = {row.target for row in rows if (row.source, row.kind) == (source, MENTION)}
            self._linked[source] = linked
        return linked

    def _want(self, said: Said) -> None:
        """A link is to be there."""
        if said.target is not None and said.target not in self._links_of(said.source):
            self._make[said.author][said.source, said.target].append(said)

    def _commit(self) -> None:
        """Make links and take them away; what its author may not link waits."""
        for author, pairs in self._take_away.items():
            if pairs:
                with self._store.transaction(self._act_for(author).origin, allow_all) as transaction:
                    for source, target in sorted(pairs):
                        _unlink(transaction, source, target)
        for author, wanted in self._make.items():
            session = self._act_for(author)
            with session.transaction() as transaction:
                if session.judge.store is not self._store:
                    raise StoreReplaced("the store was restored from a backup meanwhile; ask again")
                refused = [
                    each
                    for (source, target), said in sorted(wanted.items())
                    if not _link(transaction, source, target)
                    for each in said
                ]
            for each in refused:
                tables.set_target(self._connection, each, None)


def _link(transaction: Transaction, source: int, target: int) -> bool:
    """Link two nodes by names that their author may use; whether there are any."""
    for start in transaction.names(source):
        for end in transaction.names(target):
            try:
                transaction.link(start, end, MENTION)
            except (NotFound, Denied):
                continue
            return True
    return False


def _unlink(transaction: Transaction, source: int, target: int) -> None:
    """What has gone to the trash keeps its links, which are compared when it comes back."""
    starts, ends = transaction.names(source), transaction.names(target)
    if starts and ends:
        transaction.unlink(starts[0], ends[0], MENTION)


def _text(data: bytes) -> str:
    return "" if b"\0" in data[:4096] else data.decode("utf-8", "replace")


def _is_text(names: Sequence[Found]) -> bool:
    """Whether a file is one of those that people write: by its name."""
    last = (split(found.path)[1].lower() for found in names)
    return any(name.endswith(ENDINGS) or "." not in name[1:] for name in last)


def _kind(names: Sequence[Found]) -> Kind | None:
    return None if names[0].stat is None else names[0].stat.kind


def _by_node(found: Iterable[Found]) -> dict[int, list[Found]]:
    """The names of each node, by path."""
    return by_node(sorted(found, key=lambda name: name.path))


def _chunks(nodes: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(nodes), _AT_ONCE):
        yield nodes[start : start + _AT_ONCE]
