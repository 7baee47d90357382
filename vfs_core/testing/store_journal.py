"""The store suite on transactions, the journal, the bell, threads and forks."""

# ruff: noqa: D102  # the tests' names are sentences

from __future__ import annotations

import contextlib
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from vfs_core import journal
from vfs_core.bell import EPOCH, slot_of
from vfs_core.errors import StoreError, VfsError
from vfs_core.storage import Store, Transaction, allow_all
from vfs_core.testing.store_contents import in_threads
from vfs_core.testing.store_help import AKASHI, KURO, StoreFixtures, id_of, picture, put, share
from vfs_core.types import Change, User

A, B, D = "/memory/a", "/memory/b", "/memory/d"


def all_changes(store: Store, limit: int = 1000) -> list[Change]:
    """The whole journal, by pages."""
    rows: list[Change] = []
    while page := store.changes(rows[-1].sequence if rows else 0, limit):
        rows += page
    return rows


def word(store: Store, node: int) -> int:
    """What the bell says of a node: nothing cached at or above it is stale."""
    return max(store.bell.words[slot_of(node)], store.bell.words[EPOCH])


EVERY_CHANGE: tuple[tuple[str, Callable[[Transaction], object], tuple[str, ...]], ...] = (
    ("write", lambda t: t.write(A, b"new"), (A,)),
    ("create", lambda t: t.write("/memory/n", b"new"), ("/memory",)),
    ("create deep", lambda t: t.write("/memory/n/m", b"new"), ("/memory",)),
    ("append", lambda t: t.append(A, b"new"), (A,)),
    ("meta", lambda t: t.update_meta(A, {"title": "new"}), (A,)),
    ("mkdir", lambda t: t.mkdir("/memory/n"), ("/memory",)),
    ("delete", lambda t: t.delete(A), (A, "/memory")),
    ("delete tree", lambda t: t.delete(D, recursive=True), (D, f"{D}/x", "/memory")),
    ("rename", lambda t: t.rename(A, f"{D}/a"), (A, "/memory", D)),
    ("rename over", lambda t: t.rename(A, B, replace=True), (A, B, "/memory")),
    ("rename directory", lambda t: t.rename(D, "/memory/e"), (D, f"{D}/x", "/memory")),
    ("rename prefix", lambda t: t.rename_prefix("/memory/a", "/memory/z"), (A, "/memory")),
    ("mode", lambda t: t.set_mode(A, 0o600), (A,)),
    ("mode of a directory", lambda t: t.set_mode(D, 0o700), (D, f"{D}/x")),
    ("owner", lambda t: t.set_owner(A, "kuro"), (A,)),
    ("owner of a directory", lambda t: t.set_owner(D, "kuro"), (D,)),
    ("share", lambda t: t.share(A, "kuro", "r"), (A, "/memory", "/")),
    ("share of a directory", lambda t: t.share(D, "kuro", "r"), (D, f"{D}/x")),
    ("link", lambda t: t.link(A, B, "peer"), (A, B)),
    ("unlink", lambda t: t.unlink(A, D), (A, D)),
    ("user", lambda t: t.put_user(User("kuro", ("desk",))), (A, "/", D)),
)


class StoreJournalTests(StoreFixtures):
    """One transaction, rows in total order, an announcement that is never late."""

    # --- transactions ----------------------------------------------------------------------------

    def test_a_transaction_sees_its_own_changes(self, store: Store) -> None:
        with store.transaction(AKASHI, allow_all) as transaction:
            version = transaction.write(A, b"x", patch={"title": "y"})
            found = transaction.find(A)
            assert found.stat is not None
            assert (found.stat.id, found.stat.version) == (version.sequence, 1)
            assert (found.meta_json, found.data) == ('{"title":"y"}', b"")
            transaction.rename(A, B)
            assert transaction.find(A).stat is None
            transaction.delete(B)
            assert transaction.find(B).stat is None
        assert store.find(B).stat is None

    def test_others_see_a_transaction_when_it_has_ended_and_not_before(self, store: Store) -> None:
        put(store, A, b"old")
        seen: list[object] = []

        def look() -> None:
            seen.append((store.read(A).data, store.find(B).stat is None, store.head().sequence))

        head = store.head().sequence
        with store.transaction(AKASHI, allow_all) as transaction:
            transaction.write(A, b"new")
            transaction.write(B, b"new")
            elsewhere(look)
        look()
        assert seen == [(b"old", True, head), (b"new", False, head + 2)]

    def test_a_raise_takes_everything_back(self, store: Store) -> None:
        furnish(store)
        before = picture(store)
        with pytest.raises(RuntimeError, match="stop"), store.transaction(KURO, allow_all) as transaction:
            transaction.write(A, b"new" * 9000, patch={"tags": ["new"]})
            transaction.append(B, b"new")
            transaction.write("/memory/n/m", b"new")
            transaction.share(B, "third", "rw")
            transaction.set_mode(D, 0o700)
            transaction.link(A, B, "citation")
            transaction.unlink(A, D)
            transaction.rename(D, "/memory/private/akashi/d")
            transaction.delete(A)
            transaction.put_user(User("new"))
            transaction.note(journal.SUDO, {"reason": "test"})
            raise RuntimeError("stop")
        assert picture(store) == before
        assert store.version_content(id_of(store, A), 2) is None
        put(store, A, b"after")
        assert store.read(A).data == b"after"

    def test_a_transaction_without_changes_leaves_no_trace(self, store: Store) -> None:
        before = picture(store)
        with store.transaction(KURO, allow_all) as transaction:
            transaction.find(A)
        assert picture(store) == before

    def test_a_closed_store_says_so(self, store: Store) -> None:
        put(store, A)
        store.close()
        uses: tuple[Callable[[], object], ...] = (
            lambda: store.find(A),
            store.head,
            lambda: put(store, B),
        )
        for use in uses:
            with pytest.raises(StoreError):
                use()

    # --- the journal -----------------------------------------------------------------------------

    def test_the_first_row_made_the_root_and_the_next_the_fixed_places(self, store: Store) -> None:
        rows = [row for row in store.changes() if row.operation != journal.USER]
        assert [(row.operation, row.path) for row in rows] == [
            (journal.INIT, "/"),
            (journal.MKDIR, "/memory"),
            (journal.MKDIR, "/memory/private"),
            (journal.MKDIR, "/memory/shared"),
        ]
        assert (rows[0].sequence, rows[0].node, rows[0].agent) == (1, 1, "founder")

    def test_every_change_is_a_row(self, store: Store) -> None:
        put(store, B, origin=KURO)
        head = store.head().sequence
        with store.transaction(AKASHI, allow_all) as transaction:
            transaction.write(f"{D}/x", b"one")
            transaction.append(f"{D}/x", b"two")
            transaction.update_meta(f"{D}/x", {"title": "x"})
            transaction.set_mode(f"{D}/x", 0o640)
            transaction.set_owner(f"{D}/x", group="desk")
            transaction.share(f"{D}/x", "kuro", "rw")
            transaction.link(f"{D}/x", B, "peer", 0.5)
            transaction.unlink(f"{D}/x", B)
            transaction.rename(f"{D}/x", A)
            transaction.delete(A)
            noted = transaction.note(journal.SUDO, {"reason": "test", "seconds": 5})
        rows = [row for row in store.changes(head) if row.operation != journal.USER]
        assert [row.operation for row in rows] == [
            journal.MKDIR,
            journal.WRITE,
            journal.APPEND,
            journal.META,
            journal.MODE,
            journal.OWNER,
            journal.SHARE,
            journal.LINK,
            journal.UNLINK,
            journal.RENAME,
            journal.DELETE,
            journal.SUDO,
        ]
        assert [row.path for row in rows[:9]] == [D] + [f"{D}/x"] * 8
        assert [(row.path, row.old_path) for row in rows[9:]] == [(A, f"{D}/x"), (A, None), ("", None)]
        assert {row.node for row in rows[1:11]} == {rows[1].sequence}
        assert (rows[11].node, rows[11].sequence) == (0, noted)
        assert {(row.agent, row.actor, row.door) for row in rows} == {("akashi", "founder", "cli")}
        details = {row.operation: dict(row.details) for row in rows if row.details is not None}
        assert details[journal.MODE] == {"mode": 0o640, journal.BEFORE: 0o666}
        assert details[journal.SHARE] == {"agent": "kuro", "access": "rw", journal.BEFORE: None}
        assert details[journal.LINK] == {"kind": "peer", "target": id_of(store, B), "weight": 0.5}
        assert (details[journal.UNLINK]["kind"], details[journal.UNLINK]["target"]) == (
            "peer",
            id_of(store, B),
        )
        assert details[journal.OWNER]["group"] == "desk"
        assert details[journal.SUDO] == {"reason": "test", "seconds": 5}

    def test_a_cursor_pages_through_the_journal(self, store: Store) -> None:
        for number in range(20):
            put(store, f"/memory/{number}")
        rows = all_changes(store)
        sequences = [row.sequence for row in rows]
        assert sequences == sorted(set(sequences))
        assert sequences[0] == 1
        assert store.head().sequence == sequences[-1]
        for limit in (1, 7):
            assert all_changes(store, limit) == rows
        assert store.changes(sequences[-1]) == []
        times = [row.time_ns for row in rows]
        assert abs(times[-1] - time.time_ns()) < 60 * 10**9

    def test_every_row_has_a_chain_hash_of_its_own(self, store: Store) -> None:
        furnish(store)
        chains = [store.chain_at(row.sequence) for row in store.changes()]
        assert len(set(chains)) == len(chains)
        assert all(chain is not None and len(chain) == journal.HASH_SIZE for chain in chains)
        assert store.head().chain == chains[-1]
        assert store.chain_at(0) is None
        assert store.chain_at(store.head().sequence + 1) is None

    def test_the_chain_of_a_row_never_changes(self, store: Store) -> None:
        furnish(store)
        before = {row.sequence: store.chain_at(row.sequence) for row in store.changes()}
        with store.transaction(KURO, allow_all) as transaction:
            transaction.delete(D, recursive=True)
            transaction.write(A, b"new")
        assert {sequence: store.chain_at(sequence) for sequence in before} == before

    def test_verify_finds_nothing_wrong_with_a_store_that_was_used(self, store: Store) -> None:
        furnish(store)
        for _, change, _ in EVERY_CHANGE:
            with contextlib.suppress(VfsError), store.transaction(AKASHI, allow_all) as transaction:
                change(transaction)
        assert [finding for finding in store.verify() if finding.level != "ok"] == []

    # --- the bell --------------------------------------------------------------------------------

    @pytest.mark.parametrize(
        ("change", "touched"), [row[1:] for row in EVERY_CHANGE], ids=[row[0] for row in EVERY_CHANGE]
    )
    def test_the_bell_tells_what_is_no_longer_fresh(
        self, store: Store, change: Callable[[Transaction], object], touched: Iterable[str]
    ) -> None:
        furnish(store)
        tag = store.head().sequence
        nodes = {path: id_of(store, path) for path in touched}
        assert all(word(store, node) <= tag for node in nodes.values())
        with store.transaction(AKASHI, allow_all) as transaction:
            change(transaction)
        for path, node in nodes.items():
            assert word(store, node) > tag, f"{path} is taken for fresh"
        assert store.bell.head == store.head().sequence
        assert not store.bell.is_ahead(store.head().sequence)

    def test_a_write_leaves_what_it_does_not_touch_fresh(self, store: Store) -> None:
        furnish(store)
        tag = store.head().sequence
        with store.transaction(AKASHI, allow_all) as transaction:
            transaction.write(A, b"new")
            transaction.append(f"{D}/x", b"new")
            transaction.update_meta(A, {"title": "x"})
        assert all(word(store, id_of(store, path)) <= tag for path in (B, "/memory", "/"))

    def test_a_change_of_many_nodes_leaves_none_fresh(self, store: Store) -> None:
        with store.transaction(AKASHI, allow_all) as transaction:
            for number in range(600):
                transaction.write(f"/memory/many/{number}", b"x")
        nodes = [id_of(store, f"/memory/many/{number}") for number in range(600)]
        tag = store.head().sequence
        with store.transaction(AKASHI, allow_all) as transaction:
            for number in range(600):
                transaction.write(f"/memory/many/{number}", b"y")
        assert all(word(store, node) > tag for node in nodes)

    def test_a_transaction_that_raised_leaves_nothing_stale_for_good(self, store: Store) -> None:
        furnish(store)
        with pytest.raises(RuntimeError), store.transaction(AKASHI, allow_all) as transaction:
            transaction.write(A, b"new")
            raise RuntimeError("stop")
        assert not store.bell.is_ahead(store.head().sequence)

    def test_nothing_is_seen_before_it_is_announced(self, store: Store) -> None:
        """Readers race with a writer: what they read is never newer than what the bell says after it."""
        put(store, A, b"0")
        node = id_of(store, A)
        sequences = {b"0": 0}
        seen: list[tuple[bytes, int]] = []
        done = threading.Event()

        def read() -> None:
            while not done.is_set():
                data = store.read(A).data
                seen.append((data, word(store, node)))

        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        try:
            for number in range(1, 300):
                data = b"%d" % number
                sequences[data] = put(store, A, data).sequence
        finally:
            done.set()
            for reader in readers:
                reader.join()
        late = [data for data, announced in seen if sequences[data] > announced]
        assert late == []

    # --- threads, forks, two of them -------------------------------------------------------------

    def test_a_cursor_skips_nothing_while_others_write(self, store: Store) -> None:
        done = threading.Event()
        followed: list[int] = []

        def follow() -> None:
            while True:
                last = done.is_set()
                page = store.changes(followed[-1] if followed else 0, 10)
                followed.extend(row.sequence for row in page)
                if last and not page:
                    return

        follower = threading.Thread(target=follow)
        follower.start()
        try:
            in_threads(3, lambda name: [put(store, f"/memory/{name}/{number}") for number in range(30)])
        finally:
            done.set()
            follower.join()
        assert followed == [row.sequence for row in all_changes(store)]

    def test_threads_that_make_the_same_directories_meet_in_one(self, store: Store) -> None:
        in_threads(4, lambda name: put(store, f"/memory/p/q/{name}"))
        made = [row.path for row in store.changes() if row.operation == journal.MKDIR]
        assert made.count("/memory/p") == made.count("/memory/p/q") == 1
        assert len(store.children("/memory/p/q").entries) == 4

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
    def test_a_store_can_be_used_after_a_fork(self, store: Store) -> None:
        put(store, A, b"before")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            code = 1
            try:
                put(store, B, b"child")
                code = 0 if (store.read(A).data, store.read(B).data) == (b"before", b"child") else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        put(store, A, b"after")
        assert store.read(A).data == b"after"
        assert [finding for finding in store.verify() if finding.level == "fail"] == []

    def test_two_of_the_same_store_see_each_others_changes(self, store: Store, second: Store) -> None:
        assert second.uuid == store.uuid
        put(store, A, b"first")
        assert second.read(A).data == b"first"
        assert second.bell.head == store.head().sequence
        version = put(second, A, b"second", KURO)
        share(second, A, "third", KURO)
        assert store.read(A).data == b"second"
        assert word(store, id_of(store, A)) >= version.sequence
        assert picture(store) == picture(second)
        assert store.node_class(store.find(A).own).shares == {"third": "r"}

    def test_two_of_the_same_store_append_without_loss(self, store: Store, second: Store) -> None:
        def work(name: int) -> None:
            for number in range(50):
                with (store, second)[name].transaction(AKASHI, allow_all) as transaction:
                    transaction.append(A, b"%d:%d\n" % (name, number))

        in_threads(2, work)
        lines = store.read(A).data.decode().splitlines()
        assert sorted(lines) == sorted(f"{name}:{number}" for name in range(2) for number in range(50))
        assert [finding for finding in store.verify() if finding.level == "fail"] == []


def furnish(store: Store) -> None:
    """Three notes by two agents, linked."""
    put(store, B, b"text", KURO)
    with store.transaction(AKASHI, allow_all) as transaction:
        for path in (A, f"{D}/x"):
            transaction.write(path, b"text", patch={"tags": ["t"]})
        transaction.link(A, D, "related")
        transaction.put_user(User("third"))


def elsewhere(work: Callable[[], Any]) -> None:
    """Run in another thread, and wait."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
