"""The store suite on what file systems keep: byte ranges, holes, links, special nodes, attributes, times, owners."""

# ruff: noqa: D102  # the tests' names are sentences

from __future__ import annotations

import random
from collections.abc import Callable
from operator import methodcaller

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vfs_core import journal
from vfs_core.content import CHUNK, content_hash
from vfs_core.errors import (
    Denied,
    Exists,
    Invalid,
    IsADirectory,
    NoAttribute,
    NotFound,
    TooLarge,
    VfsError,
)
from vfs_core.storage import Operation, Snapshot, Store, Transaction, allow_all
from vfs_core.testing.store_help import AKASHI, KURO, Recorder, StoreFixtures, id_of, names, put
from vfs_core.types import Kind, Stat, Version

A, B, D = "/memory/a", "/memory/b", "/memory/d"
PRIVATE = "/memory/private/akashi"
Change = Callable[[Transaction], object]
BORDERS = (0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 5, 5 * CHUNK)
"""Offsets and sizes at which chunks begin and end."""
BYTES = st.builds(
    lambda pattern, size: (pattern * size)[:size],
    st.sampled_from([b"\0", b"ab", b"c"]),
    st.sampled_from(BORDERS),
)
STEP = st.tuples(st.sampled_from(["range", "cut", "append", "blocks"]), st.sampled_from(BORDERS), BYTES)


class StoreFileTests(StoreFixtures):
    """Every tool that works on a disk finds here what it wrote."""

    def change(self, store: Store, *changes: Change) -> object:
        """Make changes in one transaction; returns what the last returned."""
        result: object = None
        with store.transaction(AKASHI, allow_all) as transaction:
            for each in changes:
                result = each(transaction)
        return result

    def version(self, store: Store, change: Change) -> Version:
        made = self.change(store, change)
        assert isinstance(made, Version)
        return made

    def stat(self, store: Store, path: str) -> Stat:
        found = store.find(path).stat
        assert found is not None, path
        return found

    def fail_checks(self, store: Store) -> list[str]:
        return [finding.message for finding in store.verify() if finding.level == "fail"]

    # --- parts of contents -----------------------------------------------------------------------

    def test_a_part_is_read_without_the_rest(self, store: Store) -> None:
        data = random.Random(1).randbytes(5 * CHUNK + 100)
        put(store, A, data)
        put(store, B, data[:1000])
        for path, whole in ((A, data), (B, data[:1000])):
            for offset in (
                0,
                1,
                999,
                1000,
                CHUNK - 1,
                CHUNK,
                3 * CHUNK + 7,
                len(whole) - 1,
                len(whole),
                10**9,
            ):
                for size in (0, 1, 500, CHUNK, 2 * CHUNK + 1, 10**9):
                    found = store.read_range(path, offset, size)
                    assert found.data == whole[offset : offset + size], (path, offset, size)
                    assert found.stat is not None
                    assert found.stat.size == len(whole)
        with pytest.raises(Invalid):
            store.read_range(A, -1, 5)
        assert store.read_range("/memory/none", 0, 5).stat is None

    def test_a_part_is_judged_before_it_is_read(self, store: Store) -> None:
        put(store, A, b"secret")

        def refuse(found: object) -> None:
            raise Denied("no")

        with pytest.raises(Denied):
            store.read_range(A, 0, 5, refuse)

    @pytest.mark.parametrize("seed", range(8))
    def test_random_ranges_cuts_and_appends_leave_every_version_as_it_was(
        self, store: Store, seed: int
    ) -> None:
        dice = random.Random(seed)
        put(store, A, b"")
        node = id_of(store, A)
        content, kept = b"", [b""]
        for _ in range(60):
            kind = dice.choice(("range", "range", "cut", "append", "write", "blocks"))
            size = dice.choice((0, 1, 100, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK))
            data = dice.choice((dice.randbytes(size), bytes(size)))
            offset = dice.choice((0, 1, 50, CHUNK, 2 * CHUNK + 3, 6 * CHUNK, len(content)))
            if kind == "range":
                made = self.version(store, methodcaller("write_range", A, offset, data))
                content = content.ljust(offset, b"\0")[:offset] + data + content[offset + len(data) :]
            elif kind == "cut":
                made = self.version(store, methodcaller("truncate", A, offset))
                content = content[:offset].ljust(offset, b"\0")
            elif kind == "append":
                made = self.version(store, methodcaller("append", A, data))
                content += data
            elif kind == "write":
                made = self.version(store, methodcaller("write", A, data))
                content = data
            else:
                made = self.version(store, methodcaller("write_blocks", A, [data[:5], data[5:], b"", data]))
                content = data * 2
            kept.append(content)
            assert (made.size, made.content_hash) == (len(content), content_hash(content)), kind
            assert store.read(A).data == content, kind
        for number, expected in enumerate(kept, start=1):
            assert store.version_content(node, number) == expected, number
        assert self.fail_checks(store) == []

    @given(steps=st.lists(STEP, min_size=1, max_size=12))
    @settings(
        max_examples=60, deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
    )  # fmt: skip
    def test_ranges_do_what_they_do_to_bytes(self, store: Store, steps: list[tuple[str, int, bytes]]) -> None:
        content, kept = b"", [b""]
        if store.find(A).stat is not None:
            self.change(store, lambda t: t.delete(A))
        put(store, A, b"")
        node = id_of(store, A)
        for kind, offset, data in steps:
            if kind == "range":
                made = self.version(store, methodcaller("write_range", A, offset, data))
                content = content.ljust(offset, b"\0")[:offset] + data + content[offset + len(data) :]
            elif kind == "cut":
                made = self.version(store, methodcaller("truncate", A, offset))
                content = content[:offset].ljust(offset, b"\0")
            elif kind == "append":
                made = self.version(store, methodcaller("append", A, data))
                content += data
            else:
                made = self.version(store, methodcaller("write_blocks", A, [content[:offset], data]))
                content = content[:offset] + data
            kept.append(content)
            assert made.content_hash == content_hash(content)
            assert store.read_range(A, offset, CHUNK).data == content[offset : offset + CHUNK]
        assert [store.version_content(node, number + 1) for number in range(len(kept))] == kept
        assert self.fail_checks(store) == []

    def test_a_content_cut_to_its_own_first_chunk_was_longer_before(self, store: Store) -> None:
        data = random.Random(1).randbytes(2 * CHUNK)
        put(store, A, data)
        self.change(store, lambda t: t.write_blocks(A, [data[:CHUNK]]))
        assert store.version_content(id_of(store, A), 1) == data

    def test_a_hole_reads_as_zeros(self, store: Store) -> None:
        put(store, A, b"x")
        self.change(store, lambda t: t.truncate(A, 100 * CHUNK), lambda t: t.write_range(A, 50 * CHUNK, b"y"))
        data = store.read(A).data
        assert (len(data), data[0], data[50 * CHUNK], data.count(0)) == (
            100 * CHUNK,
            120,
            121,
            100 * CHUNK - 2,
        )

    def test_what_is_no_file_or_no_place_in_one_is_refused(self, store: Store) -> None:
        put(store, f"{D}/x")
        for change, error in (
            (lambda t: t.write_range(D, 0, b"x"), IsADirectory),
            (lambda t: t.truncate(D, 0), IsADirectory),
            (lambda t: t.write_blocks(D, [b"x"]), IsADirectory),
            (lambda t: t.write_range(A, 0, b"x"), NotFound),
            (lambda t: t.write_range(f"{D}/x", -1, b"x"), Invalid),
            (lambda t: t.truncate(f"{D}/x", -1), Invalid),
            (lambda t: t.truncate(f"{D}/x", 2**62), Invalid),
        ):
            with pytest.raises(error):
                self.change(store, change)

    def test_blocks_that_end_in_an_error_leave_nothing(self, store: Store) -> None:
        def broken() -> object:
            yield b"x" * 100_000
            raise RuntimeError("the source failed")

        put(store, A, b"before")
        with store.transaction(AKASHI, allow_all) as transaction:
            for path in (A, B):
                with pytest.raises(RuntimeError):
                    transaction.write_blocks(path, broken())  # type: ignore[arg-type]  # a generator of bytes
            transaction.write(D, b"goes on")
        assert (store.read(A).data, store.find(B).stat, store.read(D).data) == (b"before", None, b"goes on")
        assert self.fail_checks(store) == []

    # --- snapshots of a writing session -------------------------------------------------------------

    @pytest.mark.parametrize("size", [100, CHUNK - 10, 6 * CHUNK])
    @pytest.mark.parametrize("seed", range(3))
    def test_of_a_writing_session_what_was_before_and_what_is_last_is_kept(
        self, store: Store, size: int, seed: int
    ) -> None:
        dice = random.Random(seed)
        before = dice.randbytes(size)
        first = put(store, A, before)
        node = id_of(store, A)
        snapshot = Snapshot(first.sequence, first.version)
        content = before
        for step in range(12):
            if step % 5 == 4:
                length = dice.randrange(2 * size)
                made = self.version(store, methodcaller("truncate", A, length, snapshot=snapshot))
                content = content[:length].ljust(length, b"\0")
            else:
                offset, data = dice.randrange(size), dice.randbytes(50)
                made = self.version(store, methodcaller("write_range", A, offset, data, snapshot=snapshot))
                content = content.ljust(offset, b"\0")[:offset] + data + content[offset + 50 :]
            snapshot = Snapshot(first.sequence, made.version)
        after = self.version(store, lambda t: t.append(A, b"another writer"))
        kept = [store.version_content(node, version) for version in range(1, after.version + 1)]
        assert kept[0] == before
        assert kept[-2:] == [content, content + b"another writer"]
        assert kept[1:-2] == [None] * 11
        assert self.fail_checks(store) == []

    def test_what_another_wrote_in_between_is_kept(self, store: Store) -> None:
        first = put(store, A, b"x" * 3 * CHUNK)
        node = id_of(store, A)
        snapshot = Snapshot(first.sequence, first.version)
        made = self.version(store, lambda t: t.write_range(A, 5, b"mine", snapshot=snapshot))
        theirs = put(store, A, b"theirs" * CHUNK, KURO)
        held = Snapshot(first.sequence, made.version)
        self.version(store, lambda t: t.write_range(A, 9, b"mine", snapshot=held))
        assert store.version_content(node, theirs.version) == b"theirs" * CHUNK
        assert store.version_content(node, 1) == b"x" * 3 * CHUNK

    def test_a_writer_that_met_another_begins_anew(self, store: Store) -> None:
        first = put(store, A, b"x" * 3 * CHUNK)
        node, snapshot = id_of(store, A), Snapshot(first.sequence, first.version)
        expected: list[bytes | None] = [b"x" * 3 * CHUNK]
        for number in range(9):
            if number in (3, 4):
                put(store, A, b"theirs %d" % number * CHUNK, KURO)
            else:
                made = self.version(store, methodcaller("write_range", A, number, b"mine", snapshot=snapshot))
                snapshot = snapshot.after(made)
            expected.append(store.read(A).data)
        kept = [store.version_content(node, version) for version in range(1, 11)]
        gone = (1, 2, 7, 8)  # what the writer itself replaced: all but its last before theirs, and after
        assert kept == [None if number in gone else data for number, data in enumerate(expected)]

    @pytest.mark.parametrize("seed", range(6))
    def test_what_was_before_a_session_outlives_whatever_it_does(self, store: Store, seed: int) -> None:
        dice = random.Random(seed)
        kept: dict[int, bytes] = {}
        last = put(store, A, b"")
        node, content = id_of(store, A), b""
        for _ in range(6):
            kept[last.version] = content
            snapshot = Snapshot(last.sequence, last.version)
            for _ in range(dice.randrange(1, 8)):
                size = dice.choice((0, 7, CHUNK, CHUNK + 5, 3 * CHUNK, 9 * CHUNK + 1))
                if dice.random() < 0.4:
                    change = methodcaller("truncate", A, size, snapshot=snapshot)
                    content = content[:size].ljust(size, b"\0")
                else:
                    data = dice.choice((dice.randbytes(size // 2 + 1), bytes(size)))
                    change = methodcaller("write_range", A, size, data, snapshot=snapshot)
                    content = content.ljust(size, b"\0")[:size] + data + content[size + len(data) :]
                last = self.version(store, change)
                snapshot = snapshot.after(last)
                assert store.read(A).data == content
        for version, expected in kept.items():
            assert store.version_content(node, version) == expected, version
        assert self.fail_checks(store) == []

    @pytest.mark.parametrize("seed", range(12))
    def test_small_changes_of_large_contents_keep_every_version(self, store: Store, seed: int) -> None:
        dice = random.Random(seed)
        content = dice.randbytes(3 * CHUNK + 100)
        last = put(store, A, content)
        node, kept = id_of(store, A), {last.version: content}
        for _ in range(60):
            held = dice.random() < 0.5
            snapshot = Snapshot(last.sequence, last.version) if held else None
            for _ in range(dice.randrange(1, 4)):
                offset = dice.randrange(len(content) + 50)
                kind = dice.choice(("range", "range", "range", "large", "cut", "append", "zeros"))
                if kind == "cut":
                    content = content[:offset].ljust(offset, b"\0")
                    change = methodcaller("truncate", A, offset, snapshot=snapshot)
                elif kind == "append":
                    content += b"at the end"
                    change, snapshot = methodcaller("append", A, b"at the end"), None
                else:
                    size = (
                        dice.choice((CHUNK // 2 + 1, 2 * CHUNK))
                        if kind == "large"
                        else dice.randrange(1, 300)
                    )
                    data = bytes(CHUNK) if kind == "zeros" else dice.randbytes(size)
                    content = content.ljust(offset, b"\0")[:offset] + data + content[offset + len(data) :]
                    change = methodcaller("write_range", A, offset, data, snapshot=snapshot)
                last = self.version(store, change)
                if snapshot is None:
                    kept[last.version] = content
                else:
                    snapshot = snapshot.after(last)
                if len(content) < 2 * CHUNK or dice.random() < 0.05:
                    content = dice.randbytes(3 * CHUNK + dice.randrange(CHUNK))
                    last, snapshot = put(store, A, content), None
                    kept[last.version] = content
            kept[last.version] = content
        assert store.read(A).data == content
        wrong = [each for each, expected in kept.items() if store.version_content(node, each) != expected]
        assert (wrong, self.fail_checks(store)) == ([], [])

    # --- special nodes ---------------------------------------------------------------------------

    def test_a_symlink_keeps_its_target_whatever_it_is(self, store: Store) -> None:
        for number, target in enumerate(("b", "../x", "/etc/passwd", "局势/ 紧张", "a" * 4000)):
            path = f"/memory/l{number}"
            self.change(store, methodcaller("make_special", path, Kind.SYMLINK, target=target))
            found = store.read(path)
            assert found.stat is not None
            assert (found.stat.kind, found.data.decode(), found.stat.size) == (
                Kind.SYMLINK,
                target,
                len(target.encode()),
            )
        for target in ("", "a\0b", "x" * 5000):
            with pytest.raises(Invalid):
                self.change(store, methodcaller("make_special", A, Kind.SYMLINK, target=target))
        assert self.fail_checks(store) == []

    def test_nodes_of_every_kind_are_made_moved_and_removed(self, store: Store) -> None:
        kinds = (Kind.FIFO, Kind.SOCKET, Kind.BLOCK, Kind.CHARACTER, Kind.SYMLINK)
        for kind in kinds:
            device = 0x10305 if kind in (Kind.BLOCK, Kind.CHARACTER) else 0
            self.change(store, methodcaller("make_special", A, kind, target="t", device=device))
            stat = self.stat(store, A)
            assert (stat.kind, stat.device, stat.version) == (kind, device, 0)
            with pytest.raises(IsADirectory):
                put(store, A)
            with pytest.raises(Exists):
                self.change(store, methodcaller("make_special", A, kind, target="t"))
            self.change(store, lambda t: t.rename(A, B), lambda t: t.set_mode(B, 0o600))
            assert self.stat(store, B).kind is kind
            self.change(store, lambda t: t.delete(B))
        for kind in (Kind.FILE, Kind.DIRECTORY):
            with pytest.raises(Invalid):
                self.change(store, methodcaller("make_special", A, kind))
        with pytest.raises(NotFound):
            self.change(store, lambda t: t.make_special("/memory/no/where", Kind.FIFO))
        assert store.usage() == []

    # --- hard links ------------------------------------------------------------------------------

    def test_names_of_one_node_share_everything_and_go_one_by_one(self, store: Store) -> None:
        put(store, A, b"1")
        node = id_of(store, A)
        self.change(store, lambda t: t.mkdir(D), lambda t: t.hard_link(A, f"{D}/b"))
        put(store, f"{D}/b", b"2")
        assert store.read(A).data == b"2"
        assert (id_of(store, f"{D}/b"), self.stat(store, A).links) == (node, 2)
        assert sorted(found.path for found in store.nodes([node])) == [A, f"{D}/b"]
        self.change(store, lambda t: t.delete(A))
        assert (self.stat(store, f"{D}/b").links, store.past.trash()) == (1, [])
        self.change(store, lambda t: t.delete(f"{D}/b"))
        assert [each.path for each in store.past.trash()] == [f"{D}/b"]
        self.change(store, lambda t: t.restore(node))
        assert store.read(f"{D}/b").data == b"2"
        assert self.fail_checks(store) == []

    def test_a_hard_link_asks_for_writing_the_source_and_making_the_name(self, store: Store) -> None:
        put(store, A)
        recorder = Recorder()
        with store.transaction(AKASHI, recorder) as transaction:
            transaction.hard_link(A, B)
        asked = [(each.operation, each.path, each.present) for each in recorder.asked]
        assert asked == [(Operation.WRITE, A, True), (Operation.CREATE, B, False)]

    def test_a_hard_link_to_a_wider_place_is_a_share(self, store: Store) -> None:
        put(store, f"{PRIVATE}/x", b"draft")
        put(store, f"{PRIVATE}/x", b"final")
        recorder = Recorder()
        with store.transaction(AKASHI, recorder) as transaction:
            transaction.hard_link(f"{PRIVATE}/x", A)
        assert Operation.SHARE in [each.operation for each in recorder.asked]
        assert store.past.widened(id_of(store, A), A) == store.head().sequence

    def test_directories_and_taken_names_are_not_linked(self, store: Store) -> None:
        put(store, f"{D}/x")
        put(store, A)
        for change, error in (
            (lambda t: t.hard_link(D, B), IsADirectory),
            (lambda t: t.hard_link(f"{D}/x", A), Exists),
            (lambda t: t.hard_link("/memory/none", B), NotFound),
            (lambda t: t.hard_link(A, "/memory/no/where"), NotFound),
        ):
            with pytest.raises(error):
                self.change(store, change)
        assert names(store, "/memory") == ["a", "d", "private", "shared"]

    def test_renaming_one_name_over_another_of_the_same_node_changes_nothing(self, store: Store) -> None:
        put(store, A)
        self.change(store, lambda t: t.hard_link(A, B), lambda t: t.rename(A, B, replace=True))
        assert self.stat(store, A).links == 2

    # --- owners, times, attributes ---------------------------------------------------------------

    def test_a_setgid_directory_gives_its_group_to_what_is_made_in_it(self, store: Store) -> None:
        self.change(
            store, lambda t: t.mkdir(D), lambda t: t.set_owner(D, None, "desk"),
            lambda t: t.set_posix_owner(D, None, 77), lambda t: t.set_mode(D, 0o2775),
        )  # fmt: skip
        with store.transaction(KURO, allow_all) as transaction:
            transaction.write(f"{D}/in/x", b"x")
        file, inner = self.stat(store, f"{D}/in/x"), self.stat(store, f"{D}/in")
        assert (file.group, file.gid, file.mode) == ("desk", 77, 0o666)
        assert (inner.group, inner.gid, inner.mode) == ("desk", 77, 0o2777)
        assert self.fail_checks(store) == []

    def test_numbers_of_owner_and_group_are_kept(self, store: Store) -> None:
        put(store, A)
        self.change(store, lambda t: t.set_posix_owner(A, 1234, 2**32 - 1), lambda t: t.set_posix_owner(A))
        assert self.stat(store, A)[10:12] == (1234, 2**32 - 1)
        with pytest.raises(Invalid):
            self.change(store, lambda t: t.set_posix_owner(A, -1))

    def test_times_are_kept_to_the_nanosecond(self, store: Store) -> None:
        put(store, A)
        moments = 1_234_567_890_123_456_789, -5
        self.change(store, lambda t: t.set_times(A, *moments))
        stat = self.stat(store, A)
        assert (stat.accessed_ns, stat.modified_ns) == moments
        self.change(store, lambda t: t.set_times(A, 7))
        assert self.stat(store, A).modified_ns == -5
        with pytest.raises(Invalid):
            self.change(store, lambda t: t.set_times(A, 2**63))

    def test_attributes_are_bytes_under_names(self, store: Store) -> None:
        put(store, A)
        node = id_of(store, A)
        self.change(
            store, lambda t: t.set_attribute(A, "user.b", b"\0\xff"), lambda t: t.set_attribute(A, "user.局", b""),
            lambda t: t.set_attribute(A, "user.b", b"new", replace=True),
        )  # fmt: skip
        assert store.attributes(node) == {"user.b": b"new", "user.局": b""}
        self.change(store, lambda t: t.remove_attribute(A, "user.b"))
        assert store.attributes(node) == {"user.局": b""}
        for change, error in (
            (lambda t: t.set_attribute(A, "user.局", b"", create=True), Exists),
            (lambda t: t.set_attribute(A, "user.x", b"", replace=True), NoAttribute),
            (lambda t: t.remove_attribute(A, "user.x"), NoAttribute),
            (lambda t: t.set_attribute(A, "", b""), Invalid),
            (lambda t: t.set_attribute(A, "x" * 256, b""), Invalid),
            (lambda t: t.set_attribute(A, "user.x", bytes(65537)), TooLarge),
        ):
            with pytest.raises(error):
                self.change(store, change)

    def test_each_change_is_asked_for_and_journalled(self, store: Store) -> None:
        put(store, A)
        head = store.head().sequence
        asked: dict[str, tuple[Change, Operation]] = {
            journal.WRITE: (lambda t: t.write_range(A, 0, b"x"), Operation.WRITE),
            journal.TRUNCATE: (lambda t: t.truncate(A, 5), Operation.WRITE),
            journal.CHOWN: (lambda t: t.set_posix_owner(A, 5), Operation.MODE),
            journal.TIMES: (lambda t: t.set_times(A, 5), Operation.WRITE),
            journal.XATTR: (lambda t: t.set_attribute(A, "user.x", b"x"), Operation.WRITE),
            journal.SYMLINK: (lambda t: t.make_special(B, Kind.SYMLINK, target="x"), Operation.CREATE),
            journal.MKNOD: (lambda t: t.make_special(D, Kind.FIFO), Operation.CREATE),
        }
        for change, operation in asked.values():
            with pytest.raises(Denied), store.transaction(AKASHI, Recorder(1)) as transaction:
                change(transaction)
            recorder = Recorder()
            with store.transaction(AKASHI, recorder) as transaction:
                change(transaction)
            assert {each.operation for each in recorder.asked} == {operation}
        assert [row.operation for row in store.changes(head)] == list(asked)

    def test_what_fails_changes_nothing(self, store: Store) -> None:
        put(store, A, b"x" * 2 * CHUNK)
        head = store.head()
        for change in (
            lambda t: t.write_range(A, 2**50, b"x"),
            lambda t: t.hard_link(A, A),
            lambda t: t.make_special(A, Kind.FIFO),
            lambda t: t.remove_attribute(A, "none"),
        ):
            with pytest.raises(VfsError):
                self.change(store, change)
        assert store.head() == head

    # --- counting --------------------------------------------------------------------------------

    def test_a_node_with_several_names_counts_once_with_all_its_places(self, store: Store) -> None:
        put(store, A, b"12345", patch={"tags": ["x"]})
        put(store, f"{PRIVATE}/b", b"1", patch={"tags": ["x"]})
        self.change(store, lambda t: t.hard_link(A, B), lambda t: t.hard_link(A, f"{PRIVATE}/a"))
        public, private = store.find(A), store.find(f"{PRIVATE}/b")
        both = tuple(sorted((public.within, private.within)))
        assert {(each.places(), each.own, each.files, each.size) for each in store.usage()} == {
            (both, public.own, 1, 5),
            ((private.within,), private.own, 1, 1),
        }
        assert {(each.tag, each.places(), each.own, each.nodes) for each in store.tag_usage()} == {
            ("x", both, public.own, 1),
            ("x", (private.within,), private.own, 1),
        }
        self.change(store, lambda t: t.delete(f"{PRIVATE}/a"), lambda t: t.delete(B))
        assert {(each.places(), each.files) for each in store.usage()} == {
            ((public.within,), 1),
            ((private.within,), 1),
        }

    def test_tags_of_directories_count_and_files_alone_have_a_size(self, store: Store) -> None:
        self.change(
            store, lambda t: t.mkdir(D), lambda t: t.update_meta(D, {"tags": ["x"]}),
            lambda t: t.make_special(A, Kind.SYMLINK, target="target"),
        )  # fmt: skip
        assert [(each.tag, each.nodes) for each in store.tag_usage()] == [("x", 1)]
        assert store.usage() == []
