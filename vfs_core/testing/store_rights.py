"""The store suite on who may: what the check is asked, visibility classes, shares, users, usage, links."""

# ruff: noqa: D102  # the tests' names are sentences

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from vfs_core.errors import Denied, Invalid, NotFound, QuotaExceeded
from vfs_core.storage import Check, Found, LinkRow, Operation, Store, Transaction, allow_all
from vfs_core.testing.store_help import (
    AKASHI,
    FOUNDER,
    KURO,
    Asked,
    Recorder,
    StoreFixtures,
    id_of,
    picture,
    put,
    share,
)
from vfs_core.types import User
from vfs_core.visibility import Bar, DirectoryClass, Grant, NodeClass

Change = Callable[[Transaction], object]

A, B, D = "/memory/a", "/memory/b", "/memory/d"
PRIVATE = "/memory/private/akashi"


def hide(path: str) -> Check:
    """A check to which one name does not exist, and which allows everything else."""

    def check(operation: Operation, found: Found) -> None:
        if found.path == path and found.stat is not None:
            raise NotFound.at(path)

    return check


def furnish(store: Store) -> None:
    """Two notes, linked, and a directory with two more."""
    with store.transaction(AKASHI, allow_all) as transaction:
        for path in (A, B, f"{D}/x", f"{D}/y"):
            transaction.write(path, b"text", patch={"tags": ["t"]})
        transaction.link(A, B, "related")
        transaction.share(A, "third", "r")


QUESTIONS: tuple[tuple[str, Change, list[tuple[Operation, str, bool]]], ...] = (
    ("write", lambda t: t.write(A, b"x"), [(Operation.WRITE, A, True)]),
    ("create", lambda t: t.write("/memory/n/x", b"x"), [(Operation.CREATE, "/memory/n/x", False)]),
    ("append", lambda t: t.append(A, b"x"), [(Operation.WRITE, A, True)]),
    ("append new", lambda t: t.append("/memory/n", b"x"), [(Operation.CREATE, "/memory/n", False)]),
    ("update_meta", lambda t: t.update_meta(A, {"x": 1}), [(Operation.WRITE, A, True)]),
    ("mkdir", lambda t: t.mkdir("/memory/n"), [(Operation.CREATE, "/memory/n", False)]),
    (
        "mkdir parents",
        lambda t: t.mkdir("/memory/n/m", parents=True),
        [(Operation.CREATE, "/memory/n/m", False)],
    ),
    ("delete", lambda t: t.delete(A), [(Operation.DELETE, A, True)]),
    (
        "delete recursive",
        lambda t: t.delete(D, recursive=True),
        [(Operation.DELETE, D, True), (Operation.DELETE, f"{D}/x", True), (Operation.DELETE, f"{D}/y", True)],
    ),
    (
        "rename",
        lambda t: t.rename(A, "/memory/n"),
        [(Operation.DELETE, A, True), (Operation.CREATE, "/memory/n", False)],
    ),
    (
        "rename replace",
        lambda t: t.rename(A, B, replace=True),
        [(Operation.DELETE, A, True), (Operation.DELETE, B, True)],
    ),
    ("set_mode", lambda t: t.set_mode(A, 0o600), [(Operation.MODE, A, True)]),
    ("set_owner", lambda t: t.set_owner(A, "kuro", "kuro"), [(Operation.MODE, A, True)]),
    ("share", lambda t: t.share(A, "kuro", "rw"), [(Operation.SHARE, A, True)]),
    ("unshare", lambda t: t.share(A, "third", None), [(Operation.SHARE, A, True)]),
    ("link", lambda t: t.link(A, B, "peer"), [(Operation.LINK, A, True), (Operation.READ, B, True)]),
    ("unlink", lambda t: t.unlink(A, B), [(Operation.LINK, A, True), (Operation.READ, B, True)]),
)

DIRECTORY_CHANGES: tuple[Change, ...] = (
    lambda t: t.set_mode("/top/d", 0o700),
    lambda t: t.set_mode("/top/d", 0o755),
    lambda t: t.set_mode("/", 0o711),
    lambda t: t.set_mode("/", 0o750),
    lambda t: t.share("/top/d", "kuro", "r"),
    lambda t: (t.share("/top/d", "kuro", "rw"), t.share("/top/d", "kuro", None)),
    lambda t: (t.share("/top", "kuro", "r"), t.share("/top/d", "kuro", "rw"), t.set_mode("/top", 0o750)),
    lambda t: (t.set_mode("/top/d", 0o700), t.set_owner("/top/d", "kuro", "desk")),
    lambda t: (t.set_mode("/top/d", 0o700), t.rename("/top/d", f"{PRIVATE}/d")),
    lambda t: t.rename("/top", f"{PRIVATE}/top"),
    lambda t: (t.mkdir(f"{PRIVATE}/p", parents=True), t.rename("/top", f"{PRIVATE}/p/q")),
    lambda t: t.rename_prefix("/top", f"{PRIVATE}/top"),
    lambda t: (t.rename("/top", f"{PRIVATE}/top"), t.rename(f"{PRIVATE}/top", "/top")),
)
"""Changes of /top and /top/d that change the classes of what is below them."""


class StoreRightsTests(StoreFixtures):
    """The store decides nothing: it asks, first, and keeps what an answer needs."""

    # --- asking ----------------------------------------------------------------------------------

    @pytest.mark.parametrize(
        ("change", "asked"), [row[1:] for row in QUESTIONS], ids=[row[0] for row in QUESTIONS]
    )
    def test_the_check_is_asked_about_what_was_found(
        self, store: Store, change: Change, asked: list[tuple[Operation, str, bool]]
    ) -> None:
        furnish(store)
        recorder = Recorder()
        with store.transaction(AKASHI, recorder) as transaction:
            change(transaction)
        assert sorted(recorder.asked) == sorted(Asked(*question) for question in asked)
        assert recorder.asked[0] == Asked(*asked[0])

    @pytest.mark.parametrize(
        ("change", "asked"), [row[1:] for row in QUESTIONS], ids=[row[0] for row in QUESTIONS]
    )
    def test_whatever_the_check_refuses_changes_nothing(
        self, store: Store, change: Change, asked: list[tuple[Operation, str, bool]]
    ) -> None:
        furnish(store)
        before = picture(store)
        for number in range(1, len(asked) + 1):
            with pytest.raises(Denied), store.transaction(KURO, Recorder(number)) as transaction:
                change(transaction)
            assert picture(store) == before, f"question {number}"

    @pytest.mark.parametrize(
        ("change", "asked"), [row[1:] for row in QUESTIONS], ids=[row[0] for row in QUESTIONS]
    )
    def test_a_refusal_that_is_caught_leaves_no_part_of_the_change(
        self, store: Store, change: Change, asked: list[tuple[Operation, str, bool]]
    ) -> None:
        furnish(store)
        before = picture(store)
        for number in range(1, len(asked) + 1):
            with store.transaction(AKASHI, Recorder(number)) as transaction, pytest.raises(Denied):
                change(transaction)
            assert picture(store) == before, f"question {number}"

    @pytest.mark.parametrize(
        "change",
        [
            lambda tx: tx.write(A, b"mine"),
            lambda tx: tx.append(A, b"mine"),
            lambda tx: tx.mkdir(A),
            lambda tx: tx.rename(B, A),
            lambda tx: tx.rename(B, A, replace=True),
        ],
        ids=["write", "append", "mkdir", "rename", "rename and replace"],
    )
    def test_a_taken_name_that_may_not_be_known_is_judged_as_if_it_were_absent(
        self, store: Store, change: Change
    ) -> None:
        furnish(store)
        before = picture(store)

        def check(operation: Operation, found: Found) -> None:
            if found.path != A:
                return
            if found.stat is not None:
                raise NotFound.at(A)
            assert operation is Operation.CREATE
            assert store.directory_class(found.within) and store.node_class(found.directory)
            raise Denied("nothing may be made here")

        with pytest.raises(Denied), store.transaction(KURO, check) as transaction:
            change(transaction)
        with pytest.raises(NotFound), store.transaction(KURO, hide(A)) as transaction:
            change(transaction)
        assert picture(store) == before

    @pytest.mark.parametrize(
        ("change", "asked"),
        [
            (lambda tx: tx.write("/memory/new/x", b"12345"), ("/memory/new/x", 5, 1)),
            (lambda tx: tx.append("/memory/x", b"12"), ("/memory/x", 2, 1)),
            (lambda tx: tx.write(A, b""), (A, -4, 0)),
            (lambda tx: tx.append(A, b"123"), (A, 3, 0)),
        ],
        ids=["create", "create by append", "write", "append"],
    )
    def test_a_write_is_charged_with_what_it_adds_before_anything_changes(
        self, store: Store, change: Change, asked: tuple[str, int, int]
    ) -> None:
        put(store, A, b"1234")
        before = picture(store)

        def charge(path: str, size: int, notes: int) -> None:
            assert (path, size, notes) == asked
            raise QuotaExceeded(path)

        with store.transaction(AKASHI, allow_all, charge) as transaction, pytest.raises(QuotaExceeded):
            change(transaction)
        assert picture(store) == before

    def test_what_may_not_be_known_is_left_out_of_a_prefix(self, store: Store) -> None:
        put(store, "/memory/p-1", b"1")
        put(store, "/memory/p-2", b"2")
        with store.transaction(KURO, hide("/memory/p-1")) as transaction:
            moved = transaction.rename_prefix("/memory/p-", "/memory/q-")
        assert moved.nodes == 1
        assert store.read("/memory/p-1").data == b"1"
        assert store.read("/memory/q-2").data == b"2"

    def test_what_is_read_is_approved_of_whether_it_is_there_or_not(self, store: Store) -> None:
        put(store, A, b"x" * 100_000)
        for path in (A, B, "/no/where"):
            seen: list[Found] = []
            found = store.read(path, seen.append)
            assert [(each.path, each.stat) for each in seen] == [(path, found.stat)]

            def refuse(found: Found) -> None:
                raise Denied(found.path)

            with pytest.raises(Denied):
                store.read(path, refuse)

    def test_the_check_sees_all_that_is_known(self, store: Store) -> None:
        furnish(store)
        recorder = Recorder()
        with store.transaction(KURO, recorder) as transaction:
            transaction.update_meta(A, {"x": 1})
        found = recorder.found[0][1]
        assert found._replace(data=b"") == store.find(A)._replace(
            stat=found.stat, meta_json=found.meta_json, sequence=found.sequence
        )
        assert found.meta_json == '{"tags":["t"]}'
        assert store.node_class(found.own) == NodeClass("akashi", "akashi", 0o666, {"third": "r"})
        assert store.directory_class(found.within) == DirectoryClass()

    def test_creating_is_judged_by_the_nearest_directory(self, store: Store) -> None:
        with store.transaction(AKASHI, allow_all) as transaction:
            transaction.mkdir(f"{D}/e", parents=True)
            transaction.set_mode(f"{D}/e", 0o750)
        for path in (f"{D}/e/new", f"{D}/e/new/deeper/still"):
            recorder = Recorder(refuse=1)
            with pytest.raises(Denied), store.transaction(KURO, recorder) as transaction:
                transaction.write(path, b"x")
            operation, found = recorder.found[0]
            assert (operation, found.path, found.stat, found.own) == (Operation.CREATE, path, None, 0)
            assert store.node_class(found.directory) == NodeClass("akashi", "akashi", 0o750)
            assert store.directory_class(found.within).bars == {Bar("akashi", "akashi", 0o110)}
        assert recorder.found[0][1].within == store.children(f"{D}/e").contents

    def test_what_lies_below_a_file_is_judged_by_the_directory_of_the_file(self, store: Store) -> None:
        put(store, f"{D}/file")
        recorder = Recorder(refuse=1)
        with pytest.raises(Denied), store.transaction(KURO, recorder) as transaction:
            transaction.write(f"{D}/file/below", b"x")
        operation, found = recorder.found[0]
        assert (operation, found.stat) == (Operation.CREATE, None)
        assert (found.within, found.directory) == (store.children(D).contents, store.find(D).own)

    def test_deleting_is_judged_by_the_directory_as_well(self, store: Store) -> None:
        furnish(store)
        recorder = Recorder()
        with store.transaction(KURO, recorder) as transaction:
            transaction.delete(D, recursive=True)
            transaction.rename(A, f"{B}2")
        judged = {found.path: found.directory for operation, found in recorder.found if found.directory}
        assert store.node_class(judged[D]).owner == "founder"
        assert store.node_class(judged[f"{D}/x"]).owner == "akashi"
        assert store.node_class(judged[A]).owner == "founder"

    def test_the_check_may_ask_for_classes_that_the_transaction_made(self, store: Store) -> None:
        seen: list[tuple[DirectoryClass, NodeClass | None]] = []

        def check(operation: Operation, found: Found) -> None:
            own = store.node_class(found.own) if found.own else None
            seen.append((store.directory_class(found.within), own))

        with store.transaction(AKASHI, check) as transaction:
            transaction.write("/memory/private/akashi/a", b"x")
            transaction.share("/memory/private/akashi", "kuro", "rw")
            transaction.write("/memory/private/akashi/a", b"y")
        within, own = seen[-1]
        assert (within.space, within.grants) == ("akashi", frozenset({Grant("kuro", "rw", "akashi")}))
        assert own == NodeClass("akashi", "akashi", 0o600)

    def test_a_move_that_widens_who_may_read_is_judged_as_a_share(self, store: Store) -> None:
        put(store, "/memory/private/akashi/d/note")
        for old, new in (
            ("/memory/private/akashi/d/note", "/memory/shared/note"),
            ("/memory/private/akashi/d", "/memory/shared/d"),
        ):
            recorder = Recorder()
            with pytest.raises(RuntimeError), store.transaction(AKASHI, recorder) as transaction:
                transaction.rename(old, new)
                raise RuntimeError("take it back")
            assert (Operation.SHARE, old, True) in recorder.asked
        recorder = Recorder()
        with store.transaction(AKASHI, recorder) as transaction:
            transaction.rename("/memory/private/akashi/d/note", "/memory/private/akashi/note")
        assert Operation.SHARE not in [question.operation for question in recorder.asked]

    # --- classes ---------------------------------------------------------------------------------

    def test_classes_are_listed_by_rising_ids(self, store: Store) -> None:
        before = store.classes()
        put(store, "/memory/private/akashi/a")
        after = store.classes()
        assert after[: len(before)] == before
        assert [id for id, _ in after] == sorted({id for id, _ in after})
        assert store.classes(before[-1][0]) == after[len(before) :]
        assert store.classes(after[-1][0]) == []
        for id, value in after:
            known = store.directory_class(id) if isinstance(value, DirectoryClass) else store.node_class(id)
            assert known == value

    def test_equal_classes_have_one_id(self, store: Store) -> None:
        put(store, A)
        put(store, B)
        put(store, f"{D}/x")
        assert store.find(A).own == store.find(B).own == store.find(f"{D}/x").own
        assert store.find(A).within == store.find(B).within == store.find(f"{D}/x").within
        count = len(store.classes())
        put(store, "/memory/c")
        assert len(store.classes()) == count

    def test_a_private_space_is_part_of_the_class_of_what_is_in_it(self, store: Store) -> None:
        put(store, "/memory/private/akashi/d/a")
        for path, space in (
            ("/memory/private/akashi/d/a", "akashi"),
            ("/memory/private/akashi/d", "akashi"),
            ("/memory/private/akashi", None),
            ("/memory/private", None),
            ("/memory/shared", None),
        ):
            assert store.directory_class(store.find(path).within).space == space

    def test_a_class_follows_mode_owner_and_shares(self, store: Store) -> None:
        put(store, A)
        with store.transaction(AKASHI, allow_all) as transaction:
            assert transaction.set_mode(A, 0o640).mode == 0o640
            stat = transaction.set_owner(A, group="desk")
            assert (stat.owner, stat.group) == ("akashi", "desk")
            assert transaction.set_owner(A, owner="kuro").group == "desk"
            transaction.share(A, "third", "r")
            transaction.share(A, "third", "rw")
            transaction.share(A, "fourth", "r")
        assert store.node_class(store.find(A).own) == NodeClass(
            "kuro", "desk", 0o640, {"third": "rw", "fourth": "r"}
        )
        with store.transaction(AKASHI, allow_all) as transaction:
            transaction.share(A, "third", None)
            transaction.share(A, "nobody", None)
        assert store.node_class(store.find(A).own).shares == {"fourth": "r"}

    def test_neither_mode_nor_owner_nor_share_makes_a_version(self, store: Store) -> None:
        put(store, A)
        before = store.find(A).stat
        with store.transaction(AKASHI, allow_all) as transaction:
            transaction.set_mode(A, 0o640)
            transaction.set_owner(A, group="desk")
            transaction.share(A, "kuro", "r")
        after = store.find(A).stat
        assert before is not None
        assert after is not None
        assert (after.version, after.modified_ns) == (before.version, before.modified_ns)
        assert after.changed_ns > before.changed_ns

    @pytest.mark.parametrize("mode", (-1, 0o10000, 0o100644))
    def test_what_is_no_mode_is_invalid(self, store: Store, mode: int) -> None:
        put(store, A)
        with pytest.raises(Invalid), store.transaction(AKASHI, allow_all) as transaction:
            transaction.set_mode(A, mode)

    @pytest.mark.parametrize("mode", (0, 0o7777, 0o1777, 0o4755))
    def test_every_mode_is_kept(self, store: Store, mode: int) -> None:
        put(store, A)
        with store.transaction(AKASHI, allow_all) as transaction:
            transaction.set_mode(A, mode)
        assert store.node_class(store.find(A).own).mode == mode
        stat = store.find(A).stat
        assert stat is not None
        assert stat.mode == mode

    def test_what_is_no_access_is_invalid(self, store: Store) -> None:
        put(store, A)
        access: Any
        for access in ("w", "", "rwx"):
            with pytest.raises(Invalid), store.transaction(AKASHI, allow_all) as transaction:
                transaction.share(A, "kuro", access)

    def test_rights_of_what_is_absent_are_not_found(self, store: Store) -> None:
        changes: tuple[Change, ...] = (
            lambda t: t.set_mode(A, 0o600),
            lambda t: t.set_owner(A, "kuro"),
            lambda t: t.share(A, "kuro", "r"),
            lambda t: t.link(A, "/memory", "peer"),
            lambda t: t.link("/memory", A, "peer"),
            lambda t: t.unlink(A, "/memory"),
        )
        for change in changes:
            with pytest.raises(NotFound), store.transaction(AKASHI, allow_all) as transaction:
                change(transaction)

    @pytest.mark.parametrize("change", DIRECTORY_CHANGES)
    def test_the_class_of_a_directory_follows_all_above_it(self, store: Store, change: Change) -> None:
        with store.transaction(AKASHI, allow_all) as transaction:
            for path in ("/top/d/a", "/top/d/e/b", "/top/d/e/f/c", "/top/other"):
                transaction.write(path, b"x")
        with store.transaction(AKASHI, allow_all) as transaction:
            change(transaction)
        for found in store.scan(1):
            assert store.directory_class(found.within) == expected_class(store, found.path), found.path

    # --- shares, users, usage --------------------------------------------------------------------

    def test_an_agent_finds_what_is_shared_with_it(self, store: Store) -> None:
        furnish(store)
        share(store, A, "kuro")
        share(store, D, "kuro")
        share(store, B, "third")
        assert sorted(store.shared_with("kuro")) == [A, D]
        with store.transaction(AKASHI, allow_all) as transaction:
            transaction.share(A, "kuro", None)
            transaction.rename(D, "/memory/e")
        assert store.shared_with("kuro") == ["/memory/e"]
        with store.transaction(AKASHI, allow_all) as transaction:
            transaction.delete("/memory/e", recursive=True)
        assert store.shared_with("kuro") == []
        assert store.shared_with("nobody") == []

    def test_an_agent_is_stored_at_its_first_write(self, store: Store) -> None:
        assert "akashi" not in store.users()
        with store.transaction(AKASHI, allow_all) as transaction:
            transaction.find(A)
        assert "akashi" not in store.users()
        put(store, A)
        put(store, B)
        assert store.users()["akashi"] == User("akashi")
        rows = [row for row in store.changes() if row.operation == "user"]
        assert [row.details["name"] for row in rows if row.details].count("akashi") == 1

    def test_an_agent_whose_write_fails_is_not_stored(self, store: Store) -> None:
        with pytest.raises(Denied), store.transaction(AKASHI, Recorder(refuse=1)) as transaction:
            transaction.write(A, b"x")
        assert "akashi" not in store.users()

    @pytest.mark.parametrize("capabilities", (None, frozenset(), frozenset({"read", "search_all"})))
    def test_users_are_stored(self, store: Store, capabilities: frozenset[str] | None) -> None:
        user = User("trader", ("desk", "risk"), capabilities)
        with store.transaction(FOUNDER, allow_all) as transaction:
            transaction.put_user(User("trader", ("old",)))
            transaction.put_user(user)
        stored = store.users()["trader"]
        assert (stored.name, sorted(stored.groups), stored.capabilities) == (
            "trader",
            ["desk", "risk"],
            capabilities,
        )
        row = store.changes()[-1]
        assert row.operation == "user"
        assert row.details is not None
        assert row.details["name"] == "trader"

    def test_usage_counts_files_and_bytes_by_class(self, store: Store) -> None:
        assert store.usage() == []
        put(store, A, b"12345")
        put(store, B, b"")
        put(store, "/memory/private/akashi/d/x", b"123")
        put(store, "/memory/y", b"1", KURO)
        counted = {(each.within, each.own): (each.files, each.size) for each in store.usage()}
        expected = {
            (store.find(path).within, store.find(path).own): sums
            for path, sums in ((A, (2, 5)), ("/memory/private/akashi/d/x", (1, 3)), ("/memory/y", (1, 1)))
        }
        assert counted == expected

    def test_a_census_counts_names_by_directory_and_class(self, store: Store) -> None:
        assert store.census("/") == []
        put(store, "/memory/d/a", b"1")
        put(store, "/memory/d/b", b"2")
        put(store, "/memory/d/e/c", b"3")
        put(store, "/memory/d0/c", b"4")
        put(store, "/memory/d/theirs", b"5", KURO)

        def counted(path: str) -> dict[tuple[str, int, int], int]:
            return {(each.directory, each.within, each.own): each.files for each in store.census(path)}

        mine, theirs = store.find("/memory/d/a"), store.find("/memory/d/theirs")
        deep, other = store.find("/memory/d/e/c"), store.find("/memory/d0/c")
        below = {
            ("/memory/d", mine.within, mine.own): 2,
            ("/memory/d", theirs.within, theirs.own): 1,
            ("/memory/d/e", deep.within, deep.own): 1,
        }
        assert counted("/memory/d") == below
        assert counted("/memory") == counted("/") == {**below, ("/memory/d0", other.within, other.own): 1}
        assert counted("/memory/d/a") == counted("/memory/none") == {}

    def test_tags_are_counted_by_class(self, store: Store) -> None:
        put(store, A, patch={"tags": ["x", "y"]})
        put(store, B, patch={"tags": "x"})
        put(store, "/memory/private/akashi/c", patch={"tags": "x"})
        counted = {(each.tag, each.within, each.own): each.nodes for each in store.tag_usage()}
        shared, private = store.find(A), store.find("/memory/private/akashi/c")
        assert counted == {
            ("x", shared.within, shared.own): 2,
            ("y", shared.within, shared.own): 1,
            ("x", private.within, private.own): 1,
        }
        put(store, A, patch={"tags": None})
        counted = {(each.tag, each.within, each.own): each.nodes for each in store.tag_usage()}
        assert counted == {("x", shared.within, shared.own): 1, ("x", private.within, private.own): 1}

    # --- links -----------------------------------------------------------------------------------

    def test_links_are_seen_from_both_ends(self, store: Store) -> None:
        furnish(store)
        a, b, d = id_of(store, A), id_of(store, B), id_of(store, D)
        with store.transaction(AKASHI, allow_all) as transaction:
            transaction.link(A, B, "citation", 0.25)
            transaction.link(D, A, "parent")
        assert sorted(store.links(a)) == sorted(
            [LinkRow(a, "related", b, 1.0), LinkRow(a, "citation", b, 0.25), LinkRow(d, "parent", a, 1.0)]
        )
        assert len(store.links(b)) == 2
        assert store.links(d) == [LinkRow(d, "parent", a, 1.0)]

    def test_linking_again_sets_the_weight(self, store: Store) -> None:
        furnish(store)
        with store.transaction(AKASHI, allow_all) as transaction:
            transaction.link(A, B, "related", 0.5)
        assert store.links(id_of(store, A)) == [LinkRow(id_of(store, A), "related", id_of(store, B), 0.5)]

    def test_unlinking_takes_one_kind_or_all(self, store: Store) -> None:
        furnish(store)
        with store.transaction(AKASHI, allow_all) as transaction:
            transaction.link(A, B, "peer")
            transaction.link(A, B, "citation")
            transaction.link(A, D, "citation")
            assert transaction.unlink(A, B, "absent") == 0
            assert transaction.unlink(A, B, "citation") == 1
            assert transaction.unlink(A, B) == 2
            assert transaction.unlink(A, B) == 0
        assert [row.target for row in store.links(id_of(store, A))] == [id_of(store, D)]


def expected_class(store: Store, path: str) -> DirectoryClass:
    """The class of the directory that a name is in, worked out from the root down."""
    directories = ["/"]
    for name in path.split("/")[1:-1]:
        directories.append(f"{directories[-1].rstrip('/')}/{name}")
    value = DirectoryClass()
    for directory in directories:
        space = directory.removeprefix("/memory/private/").partition("/")[0]
        inside = space if directory.startswith("/memory/private/") else None
        value = value.enter(inside, store.node_class(store.find(directory).own))
    return value
