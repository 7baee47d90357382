"""The store suite on the past: names and contents as they were, the trash, what opens a node, expiry."""

# ruff: noqa: D102  # the tests' names are sentences

from __future__ import annotations

import time

import pytest

from vfs_core import journal
from vfs_core.errors import Denied, Exists, IsADirectory, NotFound
from vfs_core.past import Purged, Retention
from vfs_core.storage import Found, Operation, Store, allow_all
from vfs_core.testing.store_help import (
    AKASHI,
    KURO,
    StoreFixtures,
    id_of,
    in_trash,
    known,
    names,
    put,
    share,
    tree_at,
)
from vfs_core.types import Origin

A, B, D = "/memory/a", "/memory/b", "/memory/d"
PRIVATE = "/memory/private/akashi"


class StorePastTests(StoreFixtures):
    """Nothing that was committed is out of reach before retention drops it."""

    def now(self, store: Store) -> int:
        """The present moment."""
        return store.head().sequence

    def delete(self, store: Store, path: str, origin: Origin = AKASHI, *, recursive: bool = True) -> int:
        """Delete, and return the node's id."""
        node = id_of(store, path)
        with store.transaction(origin, allow_all) as transaction:
            transaction.delete(path, recursive=recursive)
        return node

    def rename(self, store: Store, old: str, new: str, *, replace: bool = False) -> None:
        with store.transaction(AKASHI, allow_all) as transaction:
            transaction.rename(old, new, replace=replace)

    def restore(self, store: Store, node: int, to: str | None = None) -> list[str]:
        with store.transaction(AKASHI, allow_all) as transaction:
            return [new for _, new in transaction.restore(node, to).paths]

    # --- moments ---------------------------------------------------------------------------------

    def test_a_tree_is_seen_as_it_was_through_writes_moves_and_deletions(self, store: Store) -> None:
        trees = []

        def look() -> None:
            trees.append((self.now(store), tree_at(store, self.now(store))))

        put(store, f"{D}/x", b"one", patch={"title": "X"})
        look()
        put(store, f"{D}/x", b"two" * 10_000)
        put(store, f"{D}/y", b"y")
        look()
        self.rename(store, f"{D}/x", f"{D}/z")
        put(store, f"{D}/x", b"another")
        look()
        self.rename(store, D, "/memory/e")
        put(store, "/memory/e/y", b"y2", patch={"title": "Y"})
        look()
        self.delete(store, "/memory/e")
        put(store, "/memory/e", b"a file now")
        look()
        assert [tree for _, tree in trees] == [tree_at(store, sequence) for sequence, _ in trees]
        assert trees[0][1][f"{D}/x"][1:] == (b"one", '{"title":"X"}')
        assert trees[2][1][f"{D}/x"][1] == b"another"
        assert f"{D}/x" not in trees[3][1]

    def test_a_time_stands_for_the_last_row_written_by_then(self, store: Store) -> None:
        put(store, A, b"1")
        first = self.now(store)
        time.sleep(0.002)
        between = time.time_ns()
        time.sleep(0.002)
        put(store, A, b"2")
        assert store.past.sequence_at(between) == first
        assert store.past.sequence_at(time.time_ns()) == self.now(store)
        assert store.past.sequence_at(0) == 0

    def test_the_rows_of_a_transaction_have_one_time(self, store: Store) -> None:
        before = self.now(store)
        with store.transaction(AKASHI, allow_all) as transaction:
            for number in range(5):
                transaction.write(f"{D}/{number}", b"x")
                time.sleep(0.001)
        assert len({row.time_ns for row in store.changes(before)}) == 1

    def test_a_version_is_superseded_by_the_next(self, store: Store) -> None:
        put(store, A, b"1")
        second = put(store, A, b"2")
        node = id_of(store, A)
        assert store.past.superseded(node, 1) == second.sequence
        assert store.past.superseded(node, 2) is None

    def test_changes_come_newest_first_by_node_and_agent(self, store: Store) -> None:
        put(store, A)
        start = self.now(store)
        put(store, A, b"akashi")
        put(store, B, b"kuro", KURO)
        put(store, A, b"kuro", KURO)
        past = store.past
        assert [row.sequence for row in past.changes(since=start)] == list(range(self.now(store), start, -1))
        assert {row.agent for row in past.changes(agent="kuro")} == {"kuro"}
        assert [row.version for row in past.changes(node=id_of(store, A))] == [3, 2, 1]
        first = past.changes(limit=2)
        assert past.changes(first[-1].sequence, 1)[0].sequence == first[-1].sequence - 1

    # --- the trash -------------------------------------------------------------------------------

    def test_a_restored_note_is_what_it_was(self, store: Store) -> None:
        put(store, A, b"1")
        put(store, A, b"2", patch={"tags": ["x"]})
        put(store, B)
        share(store, A, "kuro")
        with store.transaction(AKASHI, allow_all) as transaction:
            transaction.link(A, B, "peer")
        before = known(store)
        node = self.delete(store, A)
        assert in_trash(store) == [(A, "akashi", 2)]
        assert self.restore(store, node) == [A]
        assert known(store) == before
        assert in_trash(store) == []
        assert id_of(store, A) == node

    def test_a_directory_comes_back_with_what_was_deleted_with_it(self, store: Store) -> None:
        put(store, f"{D}/early")
        early = self.delete(store, f"{D}/early")
        put(store, f"{D}/x")
        put(store, f"{D}/in/y")
        before = known(store)
        node = self.delete(store, D)
        assert sorted(self.restore(store, node)) == [D, f"{D}/in", f"{D}/in/y", f"{D}/x"]
        assert known(store) == before
        assert self.restore(store, early) == [f"{D}/early"]

    def test_a_note_brings_back_the_directories_above_it_with_their_modes(self, store: Store) -> None:
        put(store, f"{D}/in/y")
        with store.transaction(AKASHI, allow_all) as transaction:
            transaction.set_mode(D, 0o700)
        node, inner = id_of(store, D), id_of(store, f"{D}/in/y")
        self.delete(store, D)
        assert self.restore(store, inner) == [f"{D}/in/y"]
        assert id_of(store, D) == node
        stat = store.find(D).stat
        assert stat is not None
        assert stat.mode == 0o700

    def test_a_taken_name_is_not_replaced(self, store: Store) -> None:
        put(store, A, b"old")
        node = self.delete(store, A)
        put(store, A, b"new")
        with pytest.raises(Exists):
            self.restore(store, node)
        assert self.restore(store, node, B) == [B]
        assert (store.read(A).data, store.read(B).data) == (b"new", b"old")

    def test_only_what_is_deleted_can_be_restored(self, store: Store) -> None:
        put(store, A)
        for node in (id_of(store, A), 10**12):
            with pytest.raises(NotFound):
                self.restore(store, node)

    def test_restoring_is_judged_as_making(self, store: Store) -> None:
        put(store, A)
        node = self.delete(store, A)

        def refuse(operation: Operation, found: Found) -> None:
            if operation is Operation.CREATE:
                raise Denied("no")

        with pytest.raises(Denied), store.transaction(AKASHI, refuse) as transaction:
            transaction.restore(node)
        assert names(store, "/memory") == ["private", "shared"]
        assert in_trash(store) == [(A, "akashi", 1)]

    def test_restoring_to_a_wider_place_is_a_share(self, store: Store) -> None:
        put(store, f"{PRIVATE}/x")
        with store.transaction(AKASHI, allow_all) as transaction:
            transaction.set_mode(f"{PRIVATE}/x", 0o644)
        node = self.delete(store, f"{PRIVATE}/x")
        asked = []

        def record(operation: Operation, found: Found) -> None:
            asked.append(operation)

        with store.transaction(AKASHI, record) as transaction:
            transaction.restore(node, A)
        assert Operation.SHARE in asked
        assert store.past.widened(node, A) == self.now(store)

    # --- who may see old versions -----------------------------------------------------------------

    def test_shares_modes_and_moves_widen(self, store: Store) -> None:
        put(store, f"{PRIVATE}/x")
        node = id_of(store, f"{PRIVATE}/x")
        made = store.past.widened(node, f"{PRIVATE}/x")
        share(store, f"{PRIVATE}/x", "kuro")
        shared = store.past.widened(node, f"{PRIVATE}/x")
        assert shared > made
        with store.transaction(AKASHI, allow_all) as transaction:
            transaction.set_mode(f"{PRIVATE}/x", 0o644)
        opened = store.past.widened(node, f"{PRIVATE}/x")
        assert opened > shared
        self.rename(store, f"{PRIVATE}/x", A)
        moved = store.past.widened(node, A)
        assert moved > opened
        put(store, A, b"more")
        self.rename(store, A, B)
        assert store.past.widened(node, B) == moved

    def test_what_leaves_an_opened_directory_stays_opened_as_late(self, store: Store) -> None:
        put(store, f"{PRIVATE}/d/x", b"draft")
        self.rename(store, f"{PRIVATE}/d", D)
        with store.transaction(AKASHI, allow_all) as transaction:
            transaction.set_mode(D, 0o755)
        opened = self.now(store)
        node = id_of(store, f"{D}/x")
        assert store.past.widened(node, f"{D}/x") == opened
        self.rename(store, f"{D}/x", A)
        assert store.past.widened(node, A) == opened
        self.delete(store, A)
        self.delete(store, D)
        self.restore(store, node, B)
        assert store.past.widened(node, B) >= opened

    # --- expiry ----------------------------------------------------------------------------------

    def expire(self, store: Store, path: str) -> int:
        with store.transaction(AKASHI, allow_all) as transaction:
            transaction.set_expiry(path, time.time_ns() - 1)
        return self.now(store)

    def test_what_has_expired_is_not_there_and_blocks_nothing(self, store: Store) -> None:
        put(store, A, b"old", patch={"tags": ["t"]})
        put(store, B)
        node = id_of(store, A)
        self.expire(store, A)
        assert store.find(A).stat is None
        assert store.read(A).stat is None
        assert names(store, "/memory") == ["b", "private", "shared"]
        assert store.nodes([node]) == []
        assert A not in [found.path for found in store.scan()]
        assert store.tag_usage() == []
        assert sum(usage.files for usage in store.usage()) == 1
        assert put(store, A, b"new").version == 1
        assert id_of(store, A) != node

    def test_what_has_expired_is_in_the_trash_before_anybody_comes_upon_it(self, store: Store) -> None:
        for path in (A, B, f"{D}/x"):
            put(store, path, path.encode())
        nodes = [id_of(store, path) for path in (A, B, f"{D}/x")]
        deleted = self.delete(store, D)
        head = self.expire(store, B)
        self.expire(store, A)
        pages = []
        before: int | None = None
        while page := store.past.trash(before, 1):
            pages += page
            before = page[-1].sequence
        assert [each.stat.id for each in pages] == [nodes[1], nodes[0], deleted, nodes[2]]
        assert [(each.path, each.by) for each in pages[:2]] == [(B, "akashi"), (A, "akashi")]
        assert store.past.trash(node=nodes[0])[0].path == A
        assert self.now(store) == head + 1
        self.restore(store, nodes[0])
        assert store.read(A).data == A.encode()
        with store.transaction(AKASHI, allow_all) as transaction:
            found = transaction.trashed(nodes[1])
            assert found is not None
            transaction.forget(nodes[1], lambda each: None)
        assert [each.path for each in store.past.trash()] == [D, f"{D}/x"]

    def test_an_expired_note_is_its_owners_in_the_trash_whoever_came_upon_it(self, store: Store) -> None:
        put(store, A, b"old")
        self.expire(store, A)
        put(store, A, b"new", KURO)
        assert [(each.path, each.by) for each in store.past.trash()] == [(A, "akashi")]

    def test_a_restored_note_has_not_expired_any_more(self, store: Store) -> None:
        put(store, A, b"old")
        node = id_of(store, A)
        self.expire(store, A)
        put(store, A, b"new")
        self.restore(store, node, B)
        assert store.read(B).data == b"old"

    def test_an_expiry_to_come_changes_nothing_yet_and_can_be_taken_back(self, store: Store) -> None:
        put(store, A)
        soon = time.time_ns() + 10**12
        with store.transaction(AKASHI, allow_all) as transaction:
            transaction.set_expiry(A, soon)
        stat = store.find(A).stat
        assert stat is not None
        assert stat.expires_ns == soon
        with store.transaction(AKASHI, allow_all) as transaction:
            transaction.set_expiry(A, None)
        stat = store.find(A).stat
        assert stat is not None
        assert stat.expires_ns is None

    def test_directories_do_not_expire(self, store: Store) -> None:
        put(store, f"{D}/x")
        with pytest.raises(IsADirectory), store.transaction(AKASHI, allow_all) as transaction:
            transaction.set_expiry(D, 1)

    # --- undoing ---------------------------------------------------------------------------------

    def test_rows_say_what_they_undo_and_what_was_before(self, store: Store) -> None:
        put(store, A, b"1", patch={"title": "old", "tags": ["x"]})
        written = put(store, A, b"2", patch={"title": "new", "tags": None})
        details = store.changes(written.sequence - 1)[0].details
        assert details is not None
        assert details[journal.META_BEFORE] == {"title": "old", "tags": ["x"]}
        with store.transaction(AKASHI, allow_all) as transaction:
            transaction.undoing = written.sequence
            transaction.write(A, b"1")
        details = store.changes(written.sequence)[0].details
        assert details is not None
        assert details[journal.UNDOES] == written.sequence

    def test_rows_say_which_run_they_are_part_of(self, store: Store) -> None:
        with store.transaction(AKASHI, allow_all) as transaction:
            transaction.part_of = "1-abc"
            first = transaction.write(f"{D}/made/x", b"1")
            transaction.part_of = None
            last = transaction.append(f"{D}/made/x", b"2")
        rows = store.changes(first.sequence - 2)
        runs = {row.sequence: (row.details or {}).get(journal.RUN) for row in rows}
        assert runs[first.sequence] == "1-abc"
        assert runs[last.sequence] is None
        assert [row.operation for row in rows if runs[row.sequence]][-2:] == [journal.MKDIR, journal.WRITE]

    def test_a_transaction_knows_the_names_of_nodes(self, store: Store) -> None:
        put(store, A)
        node = id_of(store, A)
        with store.transaction(AKASHI, allow_all) as transaction:
            transaction.rename(A, B)
            assert transaction.names(node) == [B]
            transaction.delete(B)
            assert transaction.names(node) == []
            assert transaction.names(1) == ["/"]

    # --- retention -------------------------------------------------------------------------------

    def purge(
        self, store: Store, *, replaced: int = 0, versions: int = 0, deleted: int = 10**18
    ) -> list[Purged]:
        """Purge to the end, a few nodes at a time."""
        done, after = [], 0
        while True:
            done.append(store.purge(AKASHI, Retention(replaced, versions, deleted), 2, after))
            if done[-1].after is None:
                assert [finding for finding in store.verify() if finding.level == "fail"] == []
                return done
            after = done[-1].after

    def contents(self, store: Store, path: str) -> list[bytes | None]:
        node = id_of(store, path)
        return [store.version_content(node, version.version) for version in store.versions(node, limit=1000)]

    def test_old_contents_go_and_the_newest_stay(self, store: Store) -> None:
        for path in (A, B, f"{D}/1", f"{D}/2", f"{D}/3"):
            for number in range(40):
                put(store, path, f"{path} {number} ".encode() * (1 if number % 7 else 4000))
        before = {path: self.contents(store, path) for path in (A, f"{D}/3")}
        self.purge(store, versions=10)
        for path, held in before.items():
            kept = self.contents(store, path)
            assert kept[:10] == held[:10]
            assert kept[10:] == [None] * 30
        assert len(store.versions(id_of(store, A))) == 40
        assert self.purge(store, versions=10)[-1].contents == 0

    def test_what_was_replaced_lately_stays(self, store: Store) -> None:
        for number in range(5):
            put(store, A, str(number).encode())
        self.purge(store, replaced=10**12)
        assert self.contents(store, A) == [b"4", b"3", b"2", b"1", b"0"]

    def test_what_was_current_at_the_cutoff_stays(self, store: Store) -> None:
        put(store, A, b"1")
        put(store, A, b"2")
        time.sleep(0.05)
        put(store, A, b"3")
        self.purge(store, replaced=30_000_000)
        assert self.contents(store, A) == [b"3", b"2", None]

    def test_history_goes_on_after_a_purge(self, store: Store) -> None:
        for number in range(20):
            put(store, A, b"x" * number)
        self.purge(store)
        for number in range(20):
            put(store, A, b"y" * number)
        assert (
            self.contents(store, A)
            == [b"y" * number for number in reversed(range(20))] + [b"x" * 19] + [None] * 19
        )

    def test_what_was_deleted_long_ago_is_purged_with_all_that_was_in_it(self, store: Store) -> None:
        put(store, f"{D}/x", b"1", patch={"tags": ["t"]})
        put(store, f"{D}/x", b"2" * 50_000)
        put(store, A)
        with store.transaction(AKASHI, allow_all) as transaction:
            transaction.link(A, f"{D}/x", "peer")
        inner = id_of(store, f"{D}/x")
        node = self.delete(store, D)
        assert self.purge(store, deleted=10**12)[-1].nodes == 0
        assert sum(each.nodes for each in self.purge(store, deleted=0)) == 2
        assert in_trash(store) == []
        assert [store.version_content(inner, number) for number in (1, 2)] == [None, None]
        assert store.links(id_of(store, A)) == []
        with pytest.raises(NotFound):
            self.restore(store, node)
        assert put(store, f"{D}/x").version == 1

    def test_a_purge_takes_what_has_expired_to_the_trash(self, store: Store) -> None:
        for path in (A, B, f"{D}/x"):
            put(store, path)
            self.expire(store, path)
        assert sum(each.expired for each in self.purge(store)) == 3
        assert in_trash(store) == [(A, "akashi", 1), (B, "akashi", 1), (f"{D}/x", "akashi", 1)]

    def test_a_purge_with_nothing_to_do_changes_nothing(self, store: Store) -> None:
        put(store, A)
        head = store.head()
        self.purge(store)
        assert store.head() == head
