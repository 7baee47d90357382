"""The store suite on contents, metadata and versions."""

# ruff: noqa: D102  # the tests' names are sentences

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

import pytest

from vfs_core import journal
from vfs_core.content import CHUNK, content_hash
from vfs_core.errors import Conflict, Invalid, IsADirectory, NotADirectory, NotFound
from vfs_core.storage import Store, allow_all
from vfs_core.testing.store_help import AKASHI, KURO, StoreFixtures, everything, id_of, picture, put

NOTE = "/memory/note.md"
SIZES = (0, 1, 500, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 1, 100_000)
NOT_JSON: tuple[Any, ...] = (
    {"x": float("nan")},
    {"x": float("inf")},
    {"x": 1j},
    {"x": b"bytes"},
    {"x": {1, 2}},
    {"x": "\ud800"},
    {"tags": [1]},
    {"tags": 7},
    {"tags": {"a": 1}},
)


def noise(size: int, seed: int = 0) -> bytes:
    """Bytes that do not compress and repeat no chunk."""
    return random.Random(seed).randbytes(size)


class StoreContentTests(StoreFixtures):
    """Contents are bytes, versions count them, metadata merges."""

    # --- writing and reading ---------------------------------------------------------------------

    def test_what_is_written_is_read(self, store: Store) -> None:
        version = put(store, NOTE, b"hello")
        found = store.read(NOTE)
        assert found.data == b"hello"
        assert found.stat is not None
        assert (found.stat.size, found.stat.version, str(found.stat.kind)) == (5, 1, "file")
        assert found.meta_json == "{}"
        assert (version.path, version.version, version.author, version.size) == (NOTE, 1, "akashi", 5)
        assert (version.operation, version.content_hash) == (journal.WRITE, content_hash(b"hello"))

    def test_find_tells_the_same_without_the_content(self, store: Store) -> None:
        put(store, NOTE, b"hello", patch={"title": "x"})
        assert store.find(NOTE) == store.read(NOTE)._replace(data=b"")

    def test_a_name_that_is_absent_is_found_to_be_so(self, store: Store) -> None:
        for path in (NOTE, "/nowhere/at/all", "/memory/private/akashi/x"):
            for found in (store.find(path), store.read(path)):
                assert (found.path, found.stat, found.own, found.data) == (path, None, 0, b"")
                assert found.sequence == store.head().sequence

    def test_reading_a_directory_gives_its_stat_and_no_content(self, store: Store) -> None:
        found = store.read("/memory")
        assert found.stat is not None
        assert found.stat.is_directory
        assert found.data == b""

    @pytest.mark.parametrize("size", SIZES)
    def test_binary_content_of_any_size_comes_back(self, store: Store, size: int) -> None:
        data = noise(size)
        version = put(store, NOTE, data)
        assert store.read(NOTE).data == data
        assert (version.size, version.content_hash) == (size, content_hash(data))

    @pytest.mark.parametrize("before", SIZES)
    @pytest.mark.parametrize("after", (0, CHUNK, 40_000))
    def test_content_may_grow_and_shrink_over_chunk_borders(
        self, store: Store, before: int, after: int
    ) -> None:
        old, new = noise(before, 1), noise(after, 2)
        put(store, NOTE, old)
        put(store, NOTE, new)
        found = store.read(NOTE)
        assert found.data == new
        assert store.version_content(id_of(store, NOTE), 1) == old
        assert put(store, NOTE, old).content_hash == content_hash(old)

    @pytest.mark.parametrize(
        "data", (b"\0" * 50_000, bytes(range(256)) * 3, b"\xff\xfe\0\r\n", "局势".encode())
    )
    def test_no_byte_is_special(self, store: Store, data: bytes) -> None:
        put(store, NOTE, data)
        assert store.read(NOTE).data == data

    def test_content_is_reached_by_id_as_well(self, store: Store) -> None:
        data = noise(3 * CHUNK)
        put(store, NOTE, data)
        assert [found.data for found in store.nodes([id_of(store, NOTE)], content=True)] == [data]
        assert [found.data for found in store.nodes([id_of(store, NOTE)])] == [b""]
        assert {found.path: found.data for found in everything(store)}[NOTE] == data

    def test_writing_a_directory_is_an_error(self, store: Store) -> None:
        for path in ("/", "/memory", "/memory/shared"):
            with pytest.raises(IsADirectory), store.transaction(AKASHI, allow_all) as transaction:
                transaction.write(path, b"x")
            with pytest.raises(IsADirectory), store.transaction(AKASHI, allow_all) as transaction:
                transaction.append(path, b"x")

    def test_a_file_is_no_parent(self, store: Store) -> None:
        put(store, NOTE)
        before = picture(store)
        changes: tuple[Callable[[Any], object], ...] = (
            lambda transaction: transaction.write(f"{NOTE}/below", b"x"),
            lambda transaction: transaction.write(f"{NOTE}/far/below", b"x"),
            lambda transaction: transaction.append(f"{NOTE}/below", b"x"),
            lambda transaction: transaction.mkdir(f"{NOTE}/below"),
            lambda transaction: transaction.mkdir(f"{NOTE}/far/below", parents=True),
        )
        for change in changes:
            with pytest.raises(NotADirectory), store.transaction(AKASHI, allow_all) as transaction:
                change(transaction)
        assert picture(store) == before

    def test_missing_parents_are_made_unless_told_otherwise(self, store: Store) -> None:
        with pytest.raises(NotFound), store.transaction(AKASHI, allow_all) as transaction:
            transaction.write("/archive/2026/x", b"x", parents=False)
        assert store.find("/archive").stat is None
        put(store, "/archive/2026/x", b"x")
        assert store.children("/archive").entries[0].path == "/archive/2026"

    def test_times_tell_what_changed(self, store: Store) -> None:
        put(store, NOTE)
        first = store.find(NOTE).stat
        put(store, NOTE, b"more")
        second = store.find(NOTE).stat
        with store.transaction(AKASHI, allow_all) as transaction:
            transaction.update_meta(NOTE, {"title": "x"})
        third = store.find(NOTE).stat
        assert first is not None
        assert second is not None
        assert third is not None
        assert first.created_ns == second.created_ns == third.created_ns
        assert first.modified_ns < second.modified_ns == third.modified_ns
        assert second.changed_ns < third.changed_ns

    # --- appending -------------------------------------------------------------------------------

    def test_append_adds_at_the_end_and_creates(self, store: Store) -> None:
        with store.transaction(AKASHI, allow_all) as transaction:
            assert transaction.append("/memory/logs/today.log", b"one\n").version == 1
            assert transaction.append("/memory/logs/today.log", b"two\n").operation == journal.APPEND
        assert store.read("/memory/logs/today.log").data == b"one\ntwo\n"

    @pytest.mark.parametrize("size", (1, CHUNK - 1, CHUNK, 50_000))
    @pytest.mark.parametrize("more", (0, 1, CHUNK, 50_000))
    def test_append_meets_chunk_borders(self, store: Store, size: int, more: int) -> None:
        put(store, NOTE, noise(size, 1))
        with store.transaction(AKASHI, allow_all) as transaction:
            version = transaction.append(NOTE, noise(more, 2))
        whole = noise(size, 1) + noise(more, 2)
        assert store.read(NOTE).data == whole
        assert (version.size, version.content_hash) == (len(whole), content_hash(whole))
        assert store.version_content(id_of(store, NOTE), 1) == noise(size, 1)

    def test_append_keeps_the_metadata(self, store: Store) -> None:
        put(store, NOTE, patch={"tags": ["a"]})
        with store.transaction(KURO, allow_all) as transaction:
            transaction.append(NOTE, b"x")
        assert store.find(NOTE).meta_json == '{"tags":["a"]}'

    def test_appends_by_four_threads_lose_nothing(self, store: Store) -> None:
        def work(name: int) -> None:
            for number in range(25):
                with store.transaction(AKASHI, allow_all) as transaction:
                    transaction.append(NOTE, b"%d:%d\n" % (name, number))

        in_threads(4, work)
        lines = store.read(NOTE).data.decode().splitlines()
        assert sorted(lines) == sorted(f"{name}:{number}" for name in range(4) for number in range(25))
        for name in range(4):
            assert [line for line in lines if line.startswith(f"{name}:")] == [
                f"{name}:{number}" for number in range(25)
            ]
        stat = store.find(NOTE).stat
        assert stat is not None
        assert stat.version == 100

    # --- compare and swap ------------------------------------------------------------------------

    def test_a_write_may_name_the_version_it_was_based_on(self, store: Store) -> None:
        with store.transaction(AKASHI, allow_all) as transaction:
            assert transaction.write(NOTE, b"1", base_version=0).version == 1
            assert transaction.write(NOTE, b"2", base_version=1).version == 2
        for stale in (0, 1, 3):
            with pytest.raises(Conflict), store.transaction(AKASHI, allow_all) as transaction:
                transaction.write(NOTE, b"lost", base_version=stale)
        assert store.read(NOTE).data == b"2"

    def test_a_write_based_on_a_version_of_what_is_absent_conflicts(self, store: Store) -> None:
        with pytest.raises(Conflict), store.transaction(AKASHI, allow_all) as transaction:
            transaction.write("/memory/deep/absent", b"x", base_version=1)
        assert store.find("/memory/deep").stat is None

    def test_a_counter_kept_by_compare_and_swap_loses_no_increment(self, store: Store) -> None:
        put(store, NOTE, b"0")

        def work(_name: int) -> None:
            for _ in range(20):
                while True:
                    found = store.read(NOTE)
                    assert found.stat is not None
                    try:
                        with store.transaction(AKASHI, allow_all) as transaction:
                            count = b"%d" % (int(found.data) + 1)
                            transaction.write(NOTE, count, base_version=found.stat.version)
                        break
                    except Conflict:
                        continue

        in_threads(4, work)
        assert store.read(NOTE).data == b"80"

    # --- metadata --------------------------------------------------------------------------------

    def test_metadata_merges_and_null_removes(self, store: Store) -> None:
        put(store, NOTE, patch={"title": "x", "importance": 0.5, "old": {"deep": [1, None, "局"]}})
        put(store, NOTE, patch={"old": None, "title": "y", "never": None})
        assert store.find(NOTE).meta_json == '{"importance":0.5,"title":"y"}'
        put(store, NOTE, b"metadata stays")
        assert store.find(NOTE).meta_json == '{"importance":0.5,"title":"y"}'

    def test_metadata_is_canonical_text(self, store: Store) -> None:
        put(store, NOTE, patch={"b": 1, "a": "局势", "c": {"z": 1, "y": [True]}})
        assert store.find(NOTE).meta_json == '{"a":"局势","b":1,"c":{"y":[true],"z":1}}'
        with store.transaction(AKASHI, allow_all) as transaction:
            assert transaction.update_meta(NOTE, {"a": None, "b": None, "c": None}) == {}
        assert store.find(NOTE).meta_json == "{}"

    def test_update_meta_returns_the_metadata_and_makes_no_version(self, store: Store) -> None:
        put(store, NOTE, b"same", patch={"title": "x"})
        with store.transaction(AKASHI, allow_all) as transaction:
            assert transaction.update_meta(NOTE, {"tags": "b"}) == {"title": "x", "tags": ["b"]}
        found = store.read(NOTE)
        assert found.stat is not None
        assert (found.stat.version, found.data) == (1, b"same")
        assert [version.version for version in store.versions(found.stat.id)] == [1]
        assert store.changes()[-1].operation == journal.META

    def test_update_meta_of_what_is_absent_is_not_found(self, store: Store) -> None:
        with pytest.raises(NotFound), store.transaction(AKASHI, allow_all) as transaction:
            transaction.update_meta(NOTE, {"x": 1})

    @pytest.mark.parametrize(
        ("tags", "stored"),
        (
            (["b", "a", "b"], '{"tags":["a","b"]}'),
            ("b, a,,b ", '{"tags":["a","b"]}'),
            (("紧张", "ä"), '{"tags":["ä","紧张"]}'),
            (["", "  "], "{}"),
            ([], "{}"),
            (None, "{}"),
        ),
    )
    def test_tags_are_sorted_distinct_strings(self, store: Store, tags: object, stored: str) -> None:
        put(store, NOTE, patch={"tags": tags})
        assert store.find(NOTE).meta_json == stored

    @pytest.mark.parametrize("patch", NOT_JSON, ids=repr)
    def test_what_json_cannot_say_is_invalid_and_changes_nothing(self, store: Store, patch: Any) -> None:
        put(store, NOTE, b"old", patch={"title": "x"})
        before = picture(store)
        with pytest.raises(Invalid), store.transaction(AKASHI, allow_all) as transaction:
            transaction.write(NOTE, b"new", patch=patch)
        with pytest.raises(Invalid), store.transaction(AKASHI, allow_all) as transaction:
            transaction.write("/memory/other/new", b"new", patch=patch)
        with pytest.raises(Invalid), store.transaction(AKASHI, allow_all) as transaction:
            transaction.update_meta(NOTE, patch)
        assert picture(store) == before

    # --- versions --------------------------------------------------------------------------------

    def test_writing_the_same_content_makes_a_version(self, store: Store) -> None:
        assert [put(store, NOTE, b"same").version for _ in range(3)] == [1, 2, 3]
        assert [store.version_content(id_of(store, NOTE), number) for number in (1, 2, 3)] == [b"same"] * 3

    def test_versions_are_listed_newest_first(self, store: Store) -> None:
        committed = [put(store, NOTE, b"%d" % number, (AKASHI, KURO)[number % 2]) for number in range(7)]
        with store.transaction(KURO, allow_all) as transaction:
            committed.append(transaction.append(NOTE, b"+"))
            transaction.update_meta(NOTE, {"title": "no version"})
        node = id_of(store, NOTE)
        assert store.versions(node) == committed[::-1]
        assert store.versions(node, limit=3) == committed[:-4:-1]
        assert store.versions(node, before=4) == committed[2::-1]
        assert store.versions(node, before=4, limit=1) == [committed[2]]
        assert store.versions(node, before=1) == []

    def test_a_version_names_its_row_of_the_journal(self, store: Store) -> None:
        put(store, NOTE, b"one")
        version = put(store, NOTE, b"three")
        row = store.changes(version.sequence - 1, 1)[0]
        assert (row.sequence, row.time_ns, row.path) == (version.sequence, version.time_ns, version.path)
        assert (row.version, row.size, row.content_hash) == (2, 5, content_hash(b"three"))
        assert row.agent == version.author

    def test_a_version_that_never_was_has_no_content(self, store: Store) -> None:
        put(store, NOTE)
        node = id_of(store, NOTE)
        assert store.version_content(node, 2) is None
        assert store.version_content(node, 0) is None
        assert store.version_content(node + 1000, 1) is None
        assert store.versions(node + 1000) == []

    @pytest.mark.parametrize("size", (0, 600, 3 * CHUNK))
    @pytest.mark.parametrize("seed", (1, 2))
    def test_old_versions_come_back_exactly_after_many_edits(
        self, store: Store, size: int, seed: int
    ) -> None:
        random_ = random.Random(seed)
        data = random_.randbytes(size)
        put(store, NOTE, data)
        contents = [data]
        for _ in range(49):
            start = random_.randint(0, len(data))
            end = min(len(data), start + random_.choice((0, 1, 20, CHUNK)))
            inserted = random_.randbytes(random_.choice((0, 1, 20, 20, CHUNK // 2)))
            with store.transaction(AKASHI, allow_all) as transaction:
                if random_.random() < 0.2:
                    data += inserted
                    transaction.append(NOTE, inserted)
                else:
                    data = data[:start] + inserted + data[end:]
                    transaction.write(NOTE, data)
            contents.append(data)
        node = id_of(store, NOTE)
        order = list(range(50))
        random_.shuffle(order)
        for number in order:
            assert store.version_content(node, number + 1) == contents[number], f"version {number + 1}"
        for version in store.versions(node, limit=50):
            assert version.content_hash == content_hash(contents[version.version - 1])
            assert version.size == len(contents[version.version - 1])

    def test_several_versions_in_one_transaction_are_all_kept(self, store: Store) -> None:
        with store.transaction(AKASHI, allow_all) as transaction:
            for number in range(5):
                transaction.write(NOTE, b"%d" % number * 5000)
        node = id_of(store, NOTE)
        for number in range(5):
            assert store.version_content(node, number + 1) == b"%d" % number * 5000

    def test_versions_outlive_a_move_and_a_delete(self, store: Store) -> None:
        put(store, NOTE, b"one")
        put(store, NOTE, b"two")
        node = id_of(store, NOTE)
        with store.transaction(AKASHI, allow_all) as transaction:
            transaction.rename(NOTE, "/memory/moved.md")
        assert store.version_content(node, 1) == b"one"
        with store.transaction(AKASHI, allow_all) as transaction:
            transaction.delete("/memory/moved.md")
        assert [store.version_content(node, number) for number in (1, 2)] == [b"one", b"two"]
        assert [version.version for version in store.versions(node)] == [2, 1]


def in_threads(count: int, work: Callable[[int], object]) -> None:
    """Run `work(0..count-1)` at the same time and raise what any of them raises."""
    failures: list[BaseException] = []
    barrier = threading.Barrier(count)

    def run(number: int) -> None:
        try:
            barrier.wait()
            work(number)
        except BaseException as error:  # noqa: BLE001  # raised below, in the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
