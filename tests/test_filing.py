"""What file systems offer, through a session: judged like everything else."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from vfs_core.config import Config, PermissionRule
from vfs_core.content import content_hash
from vfs_core.errors import (
    Denied,
    Invalid,
    IsADirectory,
    LinkLoop,
    NoAttribute,
    NotFound,
    NotOwner,
    Unsupported,
)
from vfs_core.kernel import Kernel
from vfs_core.session import Session
from vfs_core.types import Kind

MIB = 1024 * 1024


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Kernel]:
    with Kernel(db=tmp_path / "avm.db") as kernel:
        yield kernel


@pytest.fixture
def akashi(kernel: Kernel) -> Session:
    return kernel.session("akashi")


@pytest.fixture
def kuro(kernel: Kernel) -> Session:
    return kernel.session("kuro")


def test_parts_are_read_written_and_cut(akashi: Session) -> None:
    akashi.write("/memory/x", "0123456789")
    akashi.write_range("/memory/x", 3, b"abc")
    assert akashi.read("/memory/x").text == "012abc6789"
    assert akashi.read_range("/memory/x", 2, 4) == b"2abc"
    akashi.truncate("/memory/x", 4)
    assert akashi.read("/memory/x").text == "012a"
    akashi.undo("/memory/x", steps=2)
    assert akashi.read("/memory/x").text == "0123456789"
    with pytest.raises(NotFound):
        akashi.write_range("/memory/none", 0, b"x")
    with pytest.raises(IsADirectory):
        akashi.read_range("/memory", 0, 1)


def test_each_needs_the_right_to_what_it_does(akashi: Session, kuro: Session) -> None:
    akashi.write("/memory/x", "x")
    akashi.set_mode("/memory/x", 0o644)
    akashi.write("/private/x", "x")
    for change in (
        lambda: kuro.write_range("/memory/x", 0, b"y"),
        lambda: kuro.truncate("/memory/x", 0),
        lambda: kuro.write_blocks("/memory/x", [b"y"]),
        lambda: kuro.hard_link("/memory/x", "/memory/y"),
        lambda: kuro.set_attribute("/memory/x", "user.x", b""),
        lambda: kuro.set_times("/memory/x", 1, 1),
        lambda: kuro.set_posix_owner("/memory/x", 1, 1),
    ):
        with pytest.raises((Denied, NotOwner)):
            change()
    hidden = "/memory/private/akashi/x"
    for change in (
        lambda: kuro.read_range(hidden, 0, 1),
        lambda: kuro.write_range(hidden, 0, b"y"),
        lambda: kuro.hard_link(hidden, "/memory/y"),
        lambda: kuro.attributes(hidden),
        lambda: kuro.read_link(hidden),
        lambda: kuro.symlink("x", "/memory/private/akashi/link"),
    ):
        with pytest.raises(NotFound):
            change()
    assert akashi.read("/memory/x").text == akashi.read("/private/x").text == "x"


def test_relative_symlinks_are_followed_inside_the_memory_and_judged_at_the_end(
    akashi: Session, kuro: Session
) -> None:
    akashi.write("/memory/d/real", "text")
    akashi.symlink("real", "/memory/d/link")
    akashi.symlink("../d/./link", "/memory/d/again")
    akashi.symlink("../../../../memory/d/real", "/memory/d/high")
    for name in ("link", "again", "high"):
        assert akashi.read(f"/memory/d/{name}").text == "text"
        assert akashi.read_range(f"/memory/d/{name}", 1, 2) == b"ex"
    assert akashi.read_link("/memory/d/again") == "../d/./link"
    assert akashi.stat("/memory/d/link").kind is Kind.SYMLINK
    akashi.write("/memory/d/real", "changed")
    assert akashi.read("/memory/d/link").text == "changed"
    akashi.write("/private/secret", "secret")
    akashi.symlink("private/akashi/secret", "/memory/way")
    assert akashi.read("/memory/way").text == "secret"
    with pytest.raises(NotFound):
        kuro.read("/memory/way")


def test_symlinks_that_lead_nowhere_round_or_out_say_so(akashi: Session) -> None:
    akashi.symlink("none", "/memory/dangling")
    akashi.symlink("b", "/memory/a")
    akashi.symlink("a", "/memory/b")
    akashi.symlink("/etc/passwd", "/memory/out")
    for path, error in (
        ("dangling", NotFound),
        ("a", LinkLoop),
        ("out", Unsupported),
    ):
        with pytest.raises(error):
            akashi.read(f"/memory/{path}")
    with pytest.raises(IsADirectory, match="symlink"):
        akashi.write("/memory/dangling", "x")
    with pytest.raises(Invalid):
        akashi.read_link("/memory")


def test_a_hard_link_is_another_name_judged_by_the_name_that_is_used(akashi: Session, kuro: Session) -> None:
    akashi.write("/private/x", "1")
    with pytest.raises(NotOwner):
        akashi.share("/private/x", "kuro", "rw")
        kuro.hard_link("/memory/private/akashi/x", "/memory/theirs")
    akashi.hard_link("/private/x", "/memory/mine")
    akashi.set_mode("/memory/mine", 0o666)
    akashi.share("/private/x", "kuro", None)
    kuro.append("/memory/mine", "2")
    assert akashi.read("/private/x").text == "12"
    with pytest.raises(NotFound):
        kuro.read("/memory/private/akashi/x")
    assert [hit.path for hit in kuro.search("12")] == ["/memory/mine"]
    assert [version.version for version in kuro.history("/memory/mine")] == [2, 1]


def test_publishing_by_a_hard_link_shows_no_draft(akashi: Session, kuro: Session) -> None:
    akashi.write("/private/x", "draft")
    akashi.write("/private/x", "final")
    akashi.set_mode("/private/x", 0o644)
    akashi.hard_link("/private/x", "/memory/x")
    assert [version.version for version in kuro.history("/memory/x")] == [2]
    with pytest.raises(NotFound):
        kuro.as_of("/memory/x", version=1)


def test_special_nodes_have_no_content_and_are_not_searched(akashi: Session) -> None:
    akashi.make_special("/memory/fifo", Kind.FIFO)
    akashi.symlink("wanted-word", "/memory/link")
    with pytest.raises(Unsupported, match="fifo"):
        akashi.read("/memory/fifo")
    assert akashi.search("wanted") == []
    assert akashi.stats().notes == 0
    assert [entry.stat.kind for entry in akashi.list("/memory")][:2] == [Kind.FIFO, Kind.SYMLINK]
    akashi.undo("/memory/fifo")
    assert not akashi.exists("/memory/fifo")


def test_attributes_times_and_owners_are_kept(akashi: Session, kuro: Session) -> None:
    akashi.write("/memory/x", "x")
    akashi.set_attribute("/memory/x", "user.color", b"red")
    assert kuro.attributes("/memory/x") == {"user.color": b"red"}
    akashi.set_attribute("/memory/x", "user.color", None)
    with pytest.raises(NoAttribute):
        akashi.set_attribute("/memory/x", "user.color", None)
    akashi.set_times("/memory/x", 5, 1_234_567_890_123_456_789)
    akashi.set_posix_owner("/memory/x", 1000, 100)
    stat = akashi.stat("/memory/x")
    assert (stat.accessed_ns, stat.modified_ns, stat.uid, stat.gid) == (
        5,
        1_234_567_890_123_456_789,
        1000,
        100,
    )
    akashi.undo("/memory/x")
    assert akashi.stat("/memory/x").uid != 1000


def blocks(size: int) -> Iterator[bytes]:
    dice = random.Random(size)
    for start in range(0, size, MIB):
        yield dice.randbytes(min(MIB, size - start))


def stream(kernel: Kernel, size: int, most: int) -> None:
    """Write, change, read and check a large file, with at most `most` bytes of Python's memory."""
    session = kernel.session("akashi")
    tracemalloc.start()
    try:
        session.write_blocks("/memory/large", blocks(size))
        session.write_range("/memory/large", size // 2 + 5, b"in the middle")
        session.truncate("/memory/large", size + 10 * MIB)
        read = 0
        for offset, block in zip(range(0, size, MIB), blocks(size), strict=True):
            part = session.read_range("/memory/large", offset, len(block))
            read += len(part)
            if not offset <= size // 2 + 5 < offset + len(block):
                assert part == block
        assert read == size
        assert session.read_range("/memory/large", size // 2 + 5, 13) == b"in the middle"
        assert session.read_range("/memory/large", size, 10 * MIB) == bytes(10 * MIB)
        assert [finding.message for finding in session.store.verify() if finding.level == "fail"] == []
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


def test_a_large_file_goes_through_with_flat_memory(kernel: Kernel) -> None:
    stream(kernel, 64 * MIB, 48 * MIB)


@pytest.mark.soak
def test_a_file_of_a_gibibyte_goes_through_with_flat_memory(kernel: Kernel) -> None:
    stream(kernel, 1024 * MIB, 64 * MIB)


def test_a_stream_has_the_hash_of_its_content(akashi: Session) -> None:
    data = b"".join(blocks(3 * MIB + 17))
    assert akashi.write_blocks("/memory/x", iter([data[:5], data[5:]])).content_hash == content_hash(data)


def test_a_note_with_two_names_counts_and_is_found_once(akashi: Session, kuro: Session) -> None:
    akashi.write("/private/x", b"heron heron", {"tags": ["bird"]})
    akashi.write("/memory/a", b"other", {"tags": ["bird"]})
    akashi.set_mode("/private/x", 0o644)
    akashi.hard_link("/private/x", "/memory/b")
    akashi.hard_link("/private/x", "/private/again")
    akashi.symlink("a", "/memory/link")
    for each, private in ((akashi, 1), (kuro, 0)):
        stats = each.stats()
        assert (stats.notes, stats.size, stats.private) == (2, 16, private)
        assert each.tag_counts() == {"bird": 2}
        assert len(each.search("heron")) == 1
    assert [hit.path for hit in kuro.search("heron")] == ["/memory/b"]
    akashi.delete("/memory/b")
    assert (kuro.stats().notes, kuro.tag_counts(), kuro.search("heron")) == (1, {"bird": 1}, [])
    assert akashi.stats().notes == 2


def test_counts_are_the_same_where_rules_decide(tmp_path: Path) -> None:
    rules = (PermissionRule("/memory/hidden/**", "none"), PermissionRule("/**", "rw"))
    with Kernel(Config(permissions=rules), tmp_path / "rules.db") as kernel:
        session = kernel.session("akashi")
        session.write("/private/x", b"four", {"tags": ["bird"]})
        session.set_mode("/private/x", 0o644)
        session.hard_link("/private/x", "/memory/b")
        stats = session.stats()
        assert (stats.notes, stats.size, stats.private) == (1, 4, 1)
        assert session.tag_counts() == {"bird": 1}


def test_a_directory_carries_tags_that_count(akashi: Session) -> None:
    akashi.mkdir("/memory/d")
    akashi.tag("/memory/d", ["bird"])
    assert akashi.tag_counts() == {"bird": 1}


def test_what_was_done_to_a_file_is_undone(akashi: Session) -> None:
    akashi.write("/memory/a", b"before")
    stat = akashi.set_posix_owner("/memory/a", 3, 4)
    for change in (
        lambda: akashi.truncate("/memory/a", 2),
        lambda: akashi.write_range("/memory/a", 1, b"xyz"),
        lambda: akashi.set_times("/memory/a", 5, 7),
        lambda: akashi.set_posix_owner("/memory/a", 1, 2),
        lambda: akashi.hard_link("/memory/a", "/memory/b"),
    ):
        change()
        akashi.undo("/memory/a")
        now = akashi.stat("/memory/a")
        assert (akashi.read("/memory/a").data, now.uid, now.gid, now.links) == (b"before", 3, 4, 1), change
    assert akashi.stat("/memory/a").created_ns == stat.created_ns
    akashi.symlink("a", "/memory/b")
    akashi.undo("/memory/b")
    assert not akashi.exists("/memory/b")


def test_one_name_of_several_comes_back_by_undo(akashi: Session) -> None:
    akashi.write("/memory/a", b"x")
    akashi.hard_link("/memory/a", "/memory/b")
    akashi.delete("/memory/a")
    akashi.undo("/memory/b")
    assert akashi.stat("/memory/a") == akashi.stat("/memory/b")
    assert akashi.stat("/memory/a").links == 2


def test_undo_names_no_name_that_the_agent_may_not_know(akashi: Session, kuro: Session) -> None:
    akashi.write("/private/x", b"x")
    akashi.set_mode("/private/x", 0o666)
    akashi.hard_link("/private/x", "/memory/b")
    kuro.append("/memory/b", b"y")
    akashi.delete("/memory/b")
    report = kuro.undo(agent="kuro", since=0)
    assert "private" not in str(report)
    assert akashi.read("/private/x").data == b"xy"
