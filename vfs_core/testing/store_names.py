"""The store suite on names: directories, listings, deleting and moving."""

# ruff: noqa: D102  # the tests' names are sentences

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from vfs_core import journal
from vfs_core.errors import (
    Exists,
    InUse,
    Invalid,
    IsADirectory,
    NotADirectory,
    NotEmpty,
    NotFound,
    VfsError,
)
from vfs_core.storage import Store, allow_all
from vfs_core.testing.store_help import (
    AKASHI,
    KURO,
    ODD_NAMES,
    StoreFixtures,
    everything,
    id_of,
    names,
    picture,
    put,
    share,
)

FIXED = ("/", "/memory", "/memory/private", "/memory/shared")


def tree(store: Store, *paths: str) -> None:
    """Write files whose content is their path."""
    with store.transaction(AKASHI, allow_all) as transaction:
        for path in paths:
            transaction.write(path, path.encode())


def paths(store: Store, below: str = "/") -> list[str]:
    """All names at and below a directory, the fixed places left out."""
    found = [each.path for each in everything(store) if each.path not in FIXED]
    return [path for path in found if below == "/" or path == below or path.startswith(below + "/")]


class StoreNameTests(StoreFixtures):
    """Names lead to nodes; a node keeps its id whatever happens to its name."""

    # --- a new store -----------------------------------------------------------------------------

    def test_a_new_store_has_its_fixed_places(self, store: Store) -> None:
        assert id_of(store, "/") == 1
        assert [each.path for each in everything(store)] == list(FIXED[1:])
        for path in FIXED:
            stat = store.find(path).stat
            assert stat is not None
            assert (stat.is_directory, stat.mode, stat.owner, stat.group) == (
                True,
                0o777,
                "founder",
                "founder",
            )

    @pytest.mark.parametrize("path", FIXED)
    def test_fixed_places_stay(self, store: Store, path: str) -> None:
        tree(store, "/memory/shared/x", "/memory/private/akashi/x", "/other/file")
        with store.transaction(AKASHI, allow_all) as transaction:
            transaction.mkdir("/other/empty")
        before = picture(store)
        changes: tuple[Callable[[Any], object], ...] = (
            lambda transaction: transaction.delete(path),
            lambda transaction: transaction.delete(path, recursive=True),
            lambda transaction: transaction.rename(path, "/elsewhere"),
            lambda transaction: transaction.rename("/other/empty", path, replace=True),
        )
        for change in changes:
            with pytest.raises(InUse), store.transaction(AKASHI, allow_all) as transaction:
                change(transaction)
        for change in (
            lambda transaction: transaction.rename("/other/file", path),
            lambda transaction: transaction.rename("/other/file", path, replace=True),
        ):
            with pytest.raises(VfsError), store.transaction(AKASHI, allow_all) as transaction:
                change(transaction)
        assert picture(store) == before

    # --- directories -----------------------------------------------------------------------------

    def test_mkdir_makes_a_directory(self, store: Store) -> None:
        with store.transaction(AKASHI, allow_all) as transaction:
            stat = transaction.mkdir("/memory/projects")
        assert store.find("/memory/projects").stat == stat
        assert (stat.is_directory, stat.owner, stat.uid, stat.gid) == (True, "akashi", 1001, 1002)

    def test_mkdir_of_what_exists(self, store: Store) -> None:
        tree(store, "/memory/projects/file")
        for path in ("/memory/projects", "/memory/projects/file", "/memory", "/"):
            with pytest.raises(Exists), store.transaction(AKASHI, allow_all) as transaction:
                transaction.mkdir(path)
        before = picture(store)
        with store.transaction(AKASHI, allow_all) as transaction:
            assert transaction.mkdir("/memory/projects", exist_ok=True).id == id_of(store, "/memory/projects")
            assert transaction.mkdir("/", exist_ok=True).id == 1
        with pytest.raises(Exists), store.transaction(AKASHI, allow_all) as transaction:
            transaction.mkdir("/memory/projects/file", exist_ok=True)
        assert picture(store) == before

    def test_mkdir_makes_parents_only_if_asked(self, store: Store) -> None:
        with pytest.raises(NotFound), store.transaction(AKASHI, allow_all) as transaction:
            transaction.mkdir("/a/b/c")
        assert paths(store) == []
        with store.transaction(AKASHI, allow_all) as transaction:
            transaction.mkdir("/a/b/c", parents=True)
        assert paths(store) == ["/a", "/a/b", "/a/b/c"]

    @pytest.mark.parametrize(
        ("place", "directory", "file"),
        (
            ("/memory/shared/x", 0o777, 0o666),
            ("/memory/x", 0o777, 0o666),
            ("/archive/x", 0o777, 0o666),
            ("/memory/private/akashi", 0o700, 0o600),
            ("/memory/private/akashi/x/y", 0o700, 0o600),
        ),
    )
    def test_private_places_begin_closed_and_shared_ones_open(
        self, store: Store, place: str, directory: int, file: int
    ) -> None:
        tree(store, f"{place}/file")
        stat, above = store.find(f"{place}/file").stat, store.find(place).stat
        assert stat is not None
        assert above is not None
        assert (stat.mode, stat.owner, stat.group) == (file, "akashi", "akashi")
        assert (above.mode, above.owner, above.group) == (directory, "akashi", "akashi")

    # --- listing ---------------------------------------------------------------------------------

    def test_children_are_listed_in_order_of_name(self, store: Store) -> None:
        tree(store, "/memory/b", "/memory/a/deep/x", "/memory/c", "/memory/B")
        listing = store.children("/memory")
        assert [entry.path for entry in listing.entries] == [
            "/memory/B",
            "/memory/a",
            "/memory/b",
            "/memory/c",
            "/memory/private",
            "/memory/shared",
        ]
        assert not listing.more
        assert listing.directory == store.find("/memory")
        assert names(store, "/") == ["memory"]

    def test_a_listing_knows_what_reading_each_name_would_tell(self, store: Store) -> None:
        tree(store, "/memory/private/akashi/a", "/memory/private/akashi/d/b")
        share(store, "/memory/private/akashi/a", "kuro")
        listing = store.children("/memory/private/akashi")
        for entry in listing.entries:
            assert entry == store.find(entry.path)
            assert entry.within == listing.contents
            assert entry.parent == id_of(store, "/memory/private/akashi")
        assert store.directory_class(listing.contents).space == "akashi"

    def test_an_empty_directory_an_absent_one_and_a_file(self, store: Store) -> None:
        put(store, "/memory/file")
        assert list(store.children("/memory/shared").entries) == []
        assert store.children("/memory/shared").contents != 0
        absent = store.children("/memory/absent/deep")
        assert (absent.directory.stat, list(absent.entries), absent.more) == (None, [], False)
        with pytest.raises(NotADirectory):
            store.children("/memory/file")

    def test_a_big_directory_is_paged(self, store: Store) -> None:
        expected = sorted(f"{number:x}" for number in range(1000))
        with store.transaction(AKASHI, allow_all) as transaction:
            for name in reversed(expected):
                transaction.write(f"/memory/big/{name}", b"x")
        assert names(store, "/memory/big") == expected
        page = store.children("/memory/big", limit=1000)
        assert ([entry.path[12:] for entry in page.entries], page.more) == (expected, False)
        page = store.children("/memory/big", limit=999)
        assert ([entry.path[12:] for entry in page.entries], page.more) == (expected[:-1], True)
        page = store.children("/memory/big", after=expected[997], limit=10)
        assert ([entry.path[12:] for entry in page.entries], page.more) == (expected[998:], False)
        assert list(store.children("/memory/big", after="zzz").entries) == []
        page = store.children("/memory/big", after="7")
        assert page.entries[0].path == "/memory/big/70"

    def test_odd_names_are_kept_as_they_are(self, store: Store) -> None:
        tree(store, *(f"/memory/odd/{name}" for name in ODD_NAMES))
        tree(store, *(f"/memory/odd directories/{name}/file" for name in ODD_NAMES))
        in_order = sorted(ODD_NAMES, key=str.encode)
        assert names(store, "/memory/odd") == in_order
        found: list[str] = []
        while page := store.children("/memory/odd", found[-1] if found else "", 1).entries:
            found += [entry.path[len("/memory/odd/") :] for entry in page]
        assert found == in_order
        for name in ODD_NAMES:
            path = f"/memory/odd directories/{name}/file"
            assert store.read(path).data == path.encode()
            assert names(store, f"/memory/odd directories/{name}") == ["file"]
            with store.transaction(AKASHI, allow_all) as transaction:
                transaction.rename(f"/memory/odd directories/{name}", f"/memory/moved/{name}")
            assert store.read(f"/memory/moved/{name}/file").data == path.encode()
        assert names(store, "/memory/odd directories") == []

    def test_names_that_look_alike_are_different(self, store: Store) -> None:
        alike = ("A", "a", "a ", "\u00e9", "e\u0301")
        tree(store, *(f"/memory/{name}" for name in alike))
        assert len({id_of(store, f"/memory/{name}") for name in alike}) == len(alike)

    # --- by id -----------------------------------------------------------------------------------

    def test_nodes_are_found_by_id(self, store: Store) -> None:
        tree(store, "/memory/a", "/memory/d/b")
        wanted = [id_of(store, path) for path in ("/memory/d", "/memory/d/b", "/memory/a")]
        found = store.nodes([*wanted, 10**9])
        assert sorted(each.path for each in found) == ["/memory/a", "/memory/d", "/memory/d/b"]
        assert all(each == store.find(each.path) for each in found)
        assert store.nodes([]) == []

    def test_a_scan_gives_every_name_once_in_order_of_id(self, store: Store) -> None:
        tree(store, *(f"/memory/{number % 7}/{number}" for number in range(50)))
        whole = [each for each in store.scan(limit=10_000) if each.path != "/"]
        assert sorted(each.path for each in whole) == sorted([*paths(store), *FIXED[1:]])
        ids = [each.stat.id for each in whole if each.stat is not None]
        assert ids == sorted(set(ids))
        for limit in (1, 7):
            pages = []
            after = 1
            while page := store.scan(after, limit):
                assert len(page) <= limit
                pages += page
                after = id_of(store, page[-1].path)
            assert [each.path for each in pages] == [each.path for each in whole]

    # --- deleting --------------------------------------------------------------------------------

    def test_a_deleted_file_is_gone_from_everywhere(self, store: Store) -> None:
        put(store, "/memory/a", patch={"tags": ["x"]})
        node = id_of(store, "/memory/a")
        usage = store.usage()
        with store.transaction(AKASHI, allow_all) as transaction:
            assert transaction.delete("/memory/a") == 1
        assert store.find("/memory/a").stat is None
        assert store.read("/memory/a").stat is None
        assert store.nodes([node]) == []
        assert paths(store) == []
        assert names(store, "/memory") == ["private", "shared"]
        assert store.tag_usage() == []
        assert store.usage() != usage

    def test_deleting_what_is_absent_is_not_found(self, store: Store) -> None:
        for path in ("/memory/absent", "/absent/deep"):
            for recursive in (False, True):
                with pytest.raises(NotFound), store.transaction(AKASHI, allow_all) as transaction:
                    transaction.delete(path, recursive=recursive)

    def test_a_directory_with_entries_is_deleted_only_recursively(self, store: Store) -> None:
        tree(store, "/memory/d/a", "/memory/d/e/b", "/memory/d/e/c", "/memory/dd", "/memory/d.md")
        with pytest.raises(NotEmpty), store.transaction(AKASHI, allow_all) as transaction:
            transaction.delete("/memory/d")
        head = store.head().sequence
        with store.transaction(AKASHI, allow_all) as transaction:
            assert transaction.delete("/memory/d", recursive=True) == 5
        assert paths(store) == ["/memory/d.md", "/memory/dd"]
        rows = store.changes(head)
        assert {row.operation for row in rows} == {journal.DELETE}
        gone = [row.path for row in rows]
        assert sorted(gone) == ["/memory/d", "/memory/d/a", "/memory/d/e", "/memory/d/e/b", "/memory/d/e/c"]
        assert gone.index("/memory/d/e/b") < gone.index("/memory/d/e") < gone.index("/memory/d")

    def test_an_empty_directory_is_deleted(self, store: Store) -> None:
        with store.transaction(AKASHI, allow_all) as transaction:
            transaction.mkdir("/memory/empty")
            assert transaction.delete("/memory/empty") == 1
        assert paths(store) == []

    def test_an_id_is_never_used_again(self, store: Store) -> None:
        seen: set[int] = set()
        for _ in range(5):
            put(store, "/memory/d/a")
            for path in ("/memory/d", "/memory/d/a"):
                assert id_of(store, path) not in seen
                seen.add(id_of(store, path))
            with store.transaction(AKASHI, allow_all) as transaction:
                transaction.delete("/memory/d", recursive=True)

    def test_an_id_is_the_sequence_of_the_row_that_made_the_node(self, store: Store) -> None:
        tree(store, "/a/b/c")
        with store.transaction(KURO, allow_all) as transaction:
            transaction.append("/a/log", b"x")
        made = {row.path: row.sequence for row in store.changes() if row.node == row.sequence}
        for path in ("/a", "/a/b", "/a/b/c", "/a/log", *FIXED):
            assert made[path] == id_of(store, path)

    def test_what_is_made_in_the_place_of_something_deleted_is_new(self, store: Store) -> None:
        put(store, "/memory/a", b"old", patch={"title": "old", "tags": ["old"]})
        share(store, "/memory/a", "kuro")
        with store.transaction(AKASHI, allow_all) as transaction:
            transaction.delete("/memory/a")
        version = put(store, "/memory/a", b"new", KURO)
        found = store.read("/memory/a")
        assert found.stat is not None
        assert (version.version, found.data, found.meta_json, found.stat.owner) == (1, b"new", "{}", "kuro")
        assert store.node_class(found.own).shares == {}
        assert len(store.versions(found.stat.id)) == 1

    # --- moving ----------------------------------------------------------------------------------

    def test_a_moved_file_is_the_same_node(self, store: Store) -> None:
        put(store, "/memory/a", b"one", patch={"title": "x"})
        put(store, "/memory/b")
        share(store, "/memory/a", "kuro")
        with store.transaction(AKASHI, allow_all) as transaction:
            transaction.link("/memory/a", "/memory/b", "related")
        before, links = store.read("/memory/a"), store.links(id_of(store, "/memory/a"))
        with store.transaction(AKASHI, allow_all) as transaction:
            moved = transaction.rename("/memory/a", "/memory/far/away/a")
        after = store.read("/memory/far/away/a")
        assert (moved.nodes, list(moved.paths)) == (1, [("/memory/a", "/memory/far/away/a")])
        assert moved.sequence == store.head().sequence
        assert store.find("/memory/a").stat is None
        assert before.stat is not None
        assert after.stat is not None
        assert (after.stat.id, after.stat.version, after.data, after.meta_json, after.own) == (
            before.stat.id,
            1,
            b"one",
            before.meta_json,
            before.own,
        )
        assert after.stat.modified_ns == before.stat.modified_ns
        assert store.links(after.stat.id) == links
        assert store.shared_with("kuro") == ["/memory/far/away/a"]

    def test_a_moved_directory_takes_all_below_it_along(self, store: Store) -> None:
        tree(store, "/memory/d/a", "/memory/d/e/b", "/memory/d.md", "/memory/d-2/x", "/memory/d0/y")
        ids = {path: id_of(store, path) for path in paths(store)}
        head = store.head().sequence
        with store.transaction(AKASHI, allow_all) as transaction:
            assert transaction.rename("/memory/d", "/memory/new").nodes == 1
        assert paths(store) == sorted(
            path.replace("/memory/d/", "/memory/new/") if path != "/memory/d" else "/memory/new"
            for path in ids
        )
        assert id_of(store, "/memory/new/e/b") == ids["/memory/d/e/b"]
        assert store.read("/memory/new/e/b").data == b"/memory/d/e/b"
        assert names(store, "/memory/new") == ["a", "e"]
        rows = store.changes(head)
        assert [(row.operation, row.old_path, row.path, row.node) for row in rows] == [
            (journal.RENAME, "/memory/d", "/memory/new", ids["/memory/d"])
        ]
        put(store, "/memory/d/a", b"another")
        assert store.read("/memory/new/a").data == b"/memory/d/a"

    def test_a_directory_may_change_its_depth(self, store: Store) -> None:
        tree(store, "/a/b/c/d/e/f", "/a/b/x")
        with store.transaction(AKASHI, allow_all) as transaction:
            transaction.rename("/a/b", "/top")
            transaction.rename("/top/c", "/p/q/r/s")
        assert paths(store) == [
            "/a",
            "/p",
            "/p/q",
            "/p/q/r",
            "/p/q/r/s",
            "/p/q/r/s/d",
            "/p/q/r/s/d/e",
            "/p/q/r/s/d/e/f",
            "/top",
            "/top/x",
        ]

    def test_moving_onto_itself_changes_nothing(self, store: Store) -> None:
        tree(store, "/memory/d/a")
        before = picture(store)
        with store.transaction(AKASHI, allow_all) as transaction:
            for path in ("/memory/d", "/memory/d/a"):
                assert transaction.rename(path, path).nodes == 0
                assert transaction.rename(path, path, replace=True).nodes == 0
        assert picture(store) == before

    def test_a_directory_cannot_be_moved_into_itself(self, store: Store) -> None:
        tree(store, "/memory/d/a")
        for new in ("/memory/d/e", "/memory/d/e/f", "/memory/d/a/x"):
            with pytest.raises(Invalid), store.transaction(AKASHI, allow_all) as transaction:
                transaction.rename("/memory/d", new)
        assert paths(store) == ["/memory/d", "/memory/d/a"]

    def test_moving_what_is_absent_is_not_found(self, store: Store) -> None:
        with pytest.raises(NotFound), store.transaction(AKASHI, allow_all) as transaction:
            transaction.rename("/memory/absent", "/memory/new/deep")
        with pytest.raises(NotFound), store.transaction(AKASHI, allow_all) as transaction:
            transaction.rename("/memory/absent", "/memory/absent")
        assert paths(store) == []

    def test_a_move_below_a_file_is_an_error(self, store: Store) -> None:
        tree(store, "/memory/a", "/memory/b")
        for new in ("/memory/b/x", "/memory/b/x/y"):
            with pytest.raises(NotADirectory), store.transaction(AKASHI, allow_all) as transaction:
                transaction.rename("/memory/a", new)
        assert paths(store) == ["/memory/a", "/memory/b"]

    @pytest.mark.parametrize(
        ("old", "new", "error"),
        (
            ("/memory/file", "/memory/other", None),
            ("/memory/dir", "/memory/empty", None),
            ("/memory/file", "/memory/empty", IsADirectory),
            ("/memory/file", "/memory/dir", IsADirectory),
            ("/memory/dir", "/memory/file", NotADirectory),
            ("/memory/empty", "/memory/dir", NotEmpty),
        ),
    )
    def test_replacing_follows_posix_and_must_be_asked_for(
        self, store: Store, old: str, new: str, error: type[VfsError] | None
    ) -> None:
        tree(store, "/memory/file", "/memory/other", "/memory/dir/x")
        with store.transaction(AKASHI, allow_all) as transaction:
            transaction.mkdir("/memory/empty")
        before = picture(store)
        with pytest.raises(Exists), store.transaction(AKASHI, allow_all) as transaction:
            transaction.rename(old, new)
        if error is not None:
            with pytest.raises(error), store.transaction(AKASHI, allow_all) as transaction:
                transaction.rename(old, new, replace=True)
            assert picture(store) == before
            return
        node, replaced = id_of(store, old), id_of(store, new)
        with store.transaction(AKASHI, allow_all) as transaction:
            assert transaction.rename(old, new, replace=True).nodes == 1
        assert id_of(store, new) == node
        assert store.find(old).stat is None
        assert store.nodes([replaced]) == []
        rows = store.changes(before.head.sequence)
        assert [(row.operation, row.node) for row in rows] == [
            (journal.DELETE, replaced),
            (journal.RENAME, node),
        ]

    def test_a_name_given_up_by_a_move_is_free(self, store: Store) -> None:
        tree(store, "/memory/a", "/memory/b")
        ids = id_of(store, "/memory/a"), id_of(store, "/memory/b")
        with store.transaction(AKASHI, allow_all) as transaction:
            transaction.rename("/memory/a", "/memory/c")
            transaction.rename("/memory/b", "/memory/a")
            transaction.rename("/memory/c", "/memory/b")
        assert (id_of(store, "/memory/b"), id_of(store, "/memory/a")) == ids

    # --- moving by prefix ------------------------------------------------------------------------

    def test_a_prefix_moves_every_name_that_starts_with_it(self, store: Store) -> None:
        tree(store, "/memory/news-1.md", "/memory/news-2.md", "/memory/new.md", "/memory/x/news-3.md")
        ids = [id_of(store, f"/memory/news-{number}.md") for number in (1, 2)]
        head = store.head().sequence
        with store.transaction(AKASHI, allow_all) as transaction:
            moved = transaction.rename_prefix("/memory/news-", "/memory/archive/old-")
        assert moved.nodes == 2
        assert sorted(moved.paths) == [
            ("/memory/news-1.md", "/memory/archive/old-1.md"),
            ("/memory/news-2.md", "/memory/archive/old-2.md"),
        ]
        assert [id_of(store, f"/memory/archive/old-{number}.md") for number in (1, 2)] == ids
        assert paths(store) == [
            "/memory/archive",
            "/memory/archive/old-1.md",
            "/memory/archive/old-2.md",
            "/memory/new.md",
            "/memory/x",
            "/memory/x/news-3.md",
        ]
        rows = [row for row in store.changes(head) if row.operation == journal.RENAME]
        assert sorted(row.node for row in rows) == sorted(ids)
        assert moved.sequence == rows[-1].sequence

    def test_a_prefix_moves_directories_with_all_below_them(self, store: Store) -> None:
        tree(
            store, "/memory/news-2026/a", "/memory/news-2026/deep/b", "/memory/news-x", "/memory/other/news-y"
        )
        with store.transaction(AKASHI, allow_all) as transaction:
            transaction.rename_prefix("/memory/news-", "/archive/")
        assert paths(store) == [
            "/archive",
            "/archive/2026",
            "/archive/2026/a",
            "/archive/2026/deep",
            "/archive/2026/deep/b",
            "/archive/x",
            "/memory/other",
            "/memory/other/news-y",
        ]
        assert store.read("/archive/2026/deep/b").data == b"/memory/news-2026/deep/b"

    def test_the_signs_of_patterns_mean_nothing_in_a_prefix(self, store: Store) -> None:
        tree(
            store,
            "/memory/a%b",
            "/memory/axb",
            "/memory/a_c",
            "/memory/A%b",
            "/memory/局势-1",
            "/memory/局-2",
        )
        with store.transaction(AKASHI, allow_all) as transaction:
            assert transaction.rename_prefix("/memory/a%", "/memory/z%").nodes == 1
            assert transaction.rename_prefix("/memory/a_", "/memory/z_").nodes == 1
            assert transaction.rename_prefix("/memory/局势", "/memory/z势").nodes == 1
        assert paths(store) == [
            "/memory/A%b",
            "/memory/axb",
            "/memory/z%b",
            "/memory/z_c",
            "/memory/z势-1",
            "/memory/局-2",
        ]

    def test_a_prefix_moves_all_or_none(self, store: Store) -> None:
        tree(store, "/memory/n-1", "/memory/n-2", "/memory/n-3", "/memory/m-2")
        before = picture(store)
        with pytest.raises(Exists), store.transaction(AKASHI, allow_all) as transaction:
            transaction.rename_prefix("/memory/n-", "/memory/m-")
        assert picture(store) == before

    def test_a_prefix_that_no_name_has_moves_nothing(self, store: Store) -> None:
        tree(store, "/memory/a")
        before = picture(store)
        with store.transaction(AKASHI, allow_all) as transaction:
            for prefix in ("/memory/zzz", "/nowhere/x", "/memory/a/"):
                assert transaction.rename_prefix(prefix, "/memory/yyy").nodes == 0
        assert picture(store) == before

    def test_a_prefix_of_a_fixed_place_moves_nothing(self, store: Store) -> None:
        tree(store, "/memory/shared-notes")
        before = picture(store)
        for prefix in ("/mem", "/memory/sha", "/memory/p"):
            with pytest.raises(InUse), store.transaction(AKASHI, allow_all) as transaction:
                transaction.rename_prefix(prefix, "/elsewhere/x")
        assert picture(store) == before
