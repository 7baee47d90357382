"""What a session promises on a real store: contents, metadata, names, links, and what it refuses."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avm.errors import (
    Conflict,
    CrossHandler,
    Denied,
    Exists,
    InUse,
    Invalid,
    IsADirectory,
    NameTooLong,
    NotADirectory,
    NotEmpty,
    NotFound,
    StoreError,
    TooLarge,
    Unsupported,
    VfsError,
)
from vfs_core.config import Config
from vfs_core.kernel import Kernel
from vfs_core.meta import META_MAX
from vfs_core.session import Session
from vfs_core.types import Draft, Link, User


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Kernel]:
    with Kernel(None, tmp_path / "avm.db") as opened:
        yield opened


@pytest.fixture
def session(kernel: Kernel) -> Session:
    return kernel.session("akashi")


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Session]:
    """Another agent, with a kernel of its own, as in another process."""
    with Kernel(None, tmp_path / "avm.db") as opened:
        yield opened.session("kuro")


# --- contents ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [b"", b"text", b"\0\xff\xfe\r\n\x80", bytes(range(256)) * 4096 + b"x", "局势 🐙".encode()],
    ids=["empty", "text", "binary", "a mebibyte and one", "Chinese"],
)
def test_bytes_are_read_as_they_were_written(session: Session, other: Session, content: bytes):
    session.write("/memory/a", content)
    for each in (session, other):
        for _ in range(2):
            node = each.read("/memory/a")
            assert (node.data, node.stat.size, type(node.data)) == (content, len(content), bytes)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(max_size=40_000), min_size=1, max_size=4))
def test_appending_is_concatenating(tmp_path_factory: pytest.TempPathFactory, parts: list[bytes]):
    with Kernel(None, tmp_path_factory.mktemp("append") / "avm.db") as opened:
        session = opened.session()
        for part in parts:
            session.append("/memory/log", part)
        assert session.read("/memory/log").data == b"".join(parts)
        assert session.read("/memory/log").version == len(parts)


def test_text_is_utf_8(session: Session):
    session.write("/memory/a", "局势")
    session.append("/memory/a", "é")
    assert session.read("/memory/a").data == "局势é".encode()
    assert session.read("/memory/a").text == "局势é"
    session.write("/memory/a", b"a\xffb")
    assert session.read("/memory/a").text == "a\ufffdb"


@pytest.mark.parametrize(
    "content", [bytearray(b"abcd"), memoryview(b"abcd"), memoryview(b"abcd").cast("H")], ids=str
)
def test_whatever_is_like_bytes_is_taken(session: Session, content: bytes):
    session.write("/memory/a", content)
    session.append("/memory/a", content)
    node = session.read("/memory/a")
    assert (node.data, node.stat.size, type(node.data)) == (b"abcdabcd", 8, bytes)
    assert {finding.level for finding in session.store.verify()} == {"ok"}


@pytest.mark.parametrize("content", [None, 7, ["a"], object(), "lone \ud800", "\udcff"], ids=repr)
def test_what_is_no_content_is_refused_and_nothing_is_made(session: Session, content: object):
    for attempt in (
        lambda: session.write("/memory/a", content),
        lambda: session.append("/memory/a", content),
        lambda: session.write_many([("/memory/b", b"x"), ("/memory/a", content)]),
        lambda: session.write("/memory/a:data", content),
    ):
        with pytest.raises(Invalid):
            attempt()
    assert not session.kernel.has_store


def test_changing_what_was_passed_or_returned_changes_nothing(session: Session):
    content, meta = bytearray(b"abc"), {"list": [1]}
    session.write("/memory/a", content, meta)
    content[0] = 0
    meta["list"].append(2)
    session.read("/memory/a").meta["list"].append(3)
    assert (session.read("/memory/a").data, session.read("/memory/a").meta) == (b"abc", {"list": [1]})


def test_each_change_of_content_is_a_version(session: Session):
    first = session.write("/memory/a", "1")
    second = session.append("/memory/a", "2")
    third = session.write("/memory/a", "3")
    assert [each.version for each in (first, second, third)] == [1, 2, 3]
    assert first.sequence < second.sequence < third.sequence
    assert session.read("/memory/a").version == 3
    assert (third.author, third.size, third.path) == ("akashi", 1, "/memory/a")


def test_what_another_process_writes_is_read_at_once(session: Session, other: Session):
    for number in range(20):
        writer, reader = (session, other) if number % 2 else (other, session)
        writer.write("/memory/a", str(number))
        assert reader.read("/memory/a").text == str(number)
        assert reader.read("/memory/a").text == str(number)


# --- compare and swap ----------------------------------------------------------------------------


def test_a_write_based_on_an_old_version_is_a_conflict(session: Session, other: Session):
    session.write("/memory/a", "1")
    other.write("/memory/a", "2", base_version=1)
    with pytest.raises(Conflict, match="is at version 2, and the write was based on version 1"):
        session.write("/memory/a", "lost", base_version=1)
    assert session.read("/memory/a").text == "2"
    assert session.write("/memory/a", "3", base_version=2).version == 3


def test_version_0_means_that_it_must_not_exist(session: Session):
    assert session.write("/memory/a", "1", base_version=0).version == 1
    with pytest.raises(Conflict):
        session.write("/memory/a", "2", base_version=0)
    with pytest.raises(Conflict):
        session.write("/memory/b", "2", base_version=3)
    assert not session.exists("/memory/b")


def test_a_virtual_node_takes_no_version_or_metadata_rather_than_ignore_them(session: Session):
    session.write("/memory/a", "1")
    for extra in ({"base_version": 7}, {"meta": {"title": "x"}}):
        with pytest.raises(Unsupported, match="/memory/a:data is not a node of the store"):
            session.write("/memory/a:data", "2", **extra)
    assert session.read("/memory/a").text == "1"
    session.write("/memory/a:data", "2")
    assert session.read("/memory/a").text == "2"


# --- metadata ------------------------------------------------------------------------------------


def test_metadata_is_kept_merged_and_removed_by_null(session: Session):
    session.write("/memory/a", "1", {"title": "A", "importance": 0.5, "n": {"x": [1, None]}})
    session.write("/memory/a", "2")
    assert session.read("/memory/a").meta == {"title": "A", "importance": 0.5, "n": {"x": [1, None]}}
    session.write("/memory/a", "3", {"title": None, "author": "名", "n": 1})
    assert session.read("/memory/a").meta == {"importance": 0.5, "author": "名", "n": 1}
    assert session.update_meta("/memory/a", {"n": None, "no such key": None}) == {
        "importance": 0.5,
        "author": "名",
    }
    assert session.read("/memory/a").version == 3, "metadata is no version of the content"


def test_tags_are_metadata_and_counted(session: Session, other: Session):
    session.write("/memory/a", "1", {"tags": ["market", " nvda ", "market", ""]})
    session.write("/memory/b", "1", {"tags": "market, risk"})
    assert session.read("/memory/a").tags == ("market", "nvda")
    assert other.tag_counts() == {"market": 2, "nvda": 1, "risk": 1}
    assert session.tag("/memory/a", add=["x"], remove=["market", "never"]) == ["nvda", "x"]
    assert other.tag_counts() == {"market": 1, "nvda": 1, "risk": 1, "x": 1}
    session.write("/memory/a", "2", {"tags": None})
    session.write("/memory/b", "2", {"tags": []})
    assert "tags" not in session.read("/memory/a").meta
    assert other.tag_counts() == {}


@pytest.mark.parametrize(
    ("meta", "error"),
    [
        ({"x": float("nan")}, Invalid),
        ({"x": float("inf")}, Invalid),
        ({"x": {1, 2}}, Invalid),
        ({"x": b"bytes"}, Invalid),
        ({1: "x"}, Invalid),
        ({"x": "\ud800"}, Invalid),
        ({"tags": 7}, Invalid),
        ({"tags": ["a,b"]}, Invalid),
        ({"tags": [1]}, Invalid),
        ({"x": "y" * META_MAX}, TooLarge),
    ],
    ids=["nan", "inf", "set", "bytes", "number key", "surrogate", "tags 7", "comma", "tag 1", "large"],
)
def test_metadata_that_cannot_be_kept_is_refused_and_nothing_changes(
    session: Session, meta: dict, error: type
):
    session.write("/memory/a", "1", {"title": "A"})
    for attempt in (
        lambda: session.write("/memory/a", "2", meta),
        lambda: session.write("/memory/new", "2", meta),
        lambda: session.update_meta("/memory/a", meta),
    ):
        with pytest.raises(error):
            attempt()
    assert (session.read("/memory/a").text, session.read("/memory/a").meta) == ("1", {"title": "A"})
    assert not session.exists("/memory/new")


def test_metadata_too_deep_for_python_is_refused(session: Session):
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(Invalid, match="cannot be stored as JSON"):
        session.write("/memory/a", "1", {"x": deep})


# --- several at once -----------------------------------------------------------------------------


def test_several_notes_are_written_together(session: Session, other: Session):
    versions = session.write_many(
        [("/memory/a", "1"), Draft("/memory/dir/b", b"2", {"title": "B"}), ("/private/c", "3")]
    )
    assert [each.path for each in versions] == ["/memory/a", "/memory/dir/b", "/memory/private/akashi/c"]
    assert (other.read("/memory/dir/b").text, other.read("/memory/dir/b").meta) == ("2", {"title": "B"})


@pytest.mark.parametrize(
    "last",
    [
        Draft("/memory/a", "x", None, 7),
        Draft("/memory/b", "x", {"x": float("nan")}),
        ("/memory/private/kuro/b", "x"),
        ("/memory", "x"),
        ("/memory/a/b", "x"),
        ("/memory/a:tags", "x"),
        ("relative", "x"),
    ],
    ids=["conflict", "metadata", "not allowed", "a directory", "below a file", "a suffix", "no path"],
)
def test_or_none_of_them_is(session: Session, last: object):
    session.write("/memory/a", "before")
    head = session.store.head()
    with pytest.raises(VfsError):
        session.write_many([("/memory/a", "1"), ("/memory/new/b", "2"), last])
    assert session.read("/memory/a").text == "before"
    assert not session.exists("/memory/new")
    assert session.store.head() == head


def test_the_same_note_twice_gets_both_versions_in_order(session: Session):
    assert [each.version for each in session.write_many([("/memory/a", "1"), ("/memory/a", "2")])] == [1, 2]
    assert session.read("/memory/a").text == "2"


# --- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["a:b?c=d", "what?.md", "x:tag", "局势", "line\nbreak", " ", "-rf", "...", "名" * 85]
)
def test_odd_names_are_files_like_others(session: Session, name: str):
    session.write(f"/memory/{name}", "x")
    assert session.read(f"/memory/{name}").text == "x"
    assert [entry.name for entry in session.list("/memory") if not entry.is_directory] == [name]
    session.rename(f"/memory/{name}", "/memory/b")
    session.rename("/memory/b", f"/memory/{name}")
    assert session.read(f"/memory/{name}:data").text == "x"
    assert session.delete(f"/memory/{name}") == 1


RESERVED_NAMES = [
    "/memory/x:tags",
    "/memory/x:tags/",
    "/memory/x:tags/y",
    "/memory/dir:shared/a/b",
    "/:meta/x",
]


@pytest.mark.parametrize("path", RESERVED_NAMES)
def test_nothing_can_be_made_that_would_pose_as_a_virtual_node(session: Session, path: str):
    session.write("/memory/a", "x")
    session.mkdir("/memory/d")
    for attempt in (
        lambda: session.mkdir(path, parents=True),
        lambda: session.rename("/memory/a", path),
        lambda: session.rename("/memory/d", path),
        lambda: session.write_many([(path, "x")]),
        lambda: session.append(path, "x"),
    ):
        with pytest.raises((Invalid, IsADirectory)):
            attempt()
    assert {entry.name for entry in session.list("/memory")} == {"a", "d", "private", "shared"}


def test_a_prefix_move_makes_no_virtual_node_either(session: Session):
    session.write("/memory/news-tags", "x")
    with pytest.raises(Invalid, match="reserved for virtual nodes"):
        session.rename_prefix("/memory/news-", "/memory/news:")
    assert session.exists("/memory/news-tags")


@pytest.mark.parametrize("place", ["trash", "tell", "hooks", "index", "gossip", ".avm"])
def test_places_of_avm_cannot_be_taken(session: Session, place: str):
    session.write("/memory/a", "x")
    for attempt in (
        lambda: session.write(f"/{place}", "x"),
        lambda: session.write(f"/{place}/x", "x"),
        lambda: session.append(f"/{place}/x", "x"),
        lambda: session.mkdir(f"/{place}/d"),
        lambda: session.rename("/memory/a", f"/{place}/a"),
    ):
        with pytest.raises((Unsupported, Denied, CrossHandler, IsADirectory), match=f"/{place}"):
            attempt()
    with pytest.raises((Exists, Unsupported)):
        session.mkdir(f"/{place}")
    session.write(f"/memory/{place}", "elsewhere it is a name like others")


def test_a_path_that_names_a_directory_is_no_file(session: Session):
    session.mkdir("/memory/d")
    for path in (
        "/memory/d",
        "/memory/d/",
        "/memory/new/",
        "/memory/new/.",
        "/memory/new/x/..",
        "/memory",
        "/",
    ):
        for write in (session.write, session.append):
            with pytest.raises(IsADirectory):
                write(path, "x")
    assert not session.exists("/memory/new")
    with pytest.raises(IsADirectory):
        session.read("/memory/d/")
    session.write("/memory/f", "x")
    for read in (session.read, session.list):
        with pytest.raises(NotADirectory):
            read("/memory/f/")
    with pytest.raises(NotADirectory):
        session.write("/memory/f/x", "x")


@pytest.mark.parametrize("path", ["", "memory/a", "/memory/\0", "/memory/\ud800", "~"])
def test_what_is_no_path_is_refused_by_everything(session: Session, path: str):
    for attempt in (
        lambda: session.read(path),
        lambda: session.write(path, "x"),
        lambda: session.list(path),
        lambda: session.stat(path),
        lambda: session.exists(path),
        lambda: session.rename("/memory/a", path),
        lambda: session.link("/memory/a", path),
        lambda: session.delete(path),
        lambda: session.search("x", under=path),
        lambda: session.access(path),
    ):
        with pytest.raises(Invalid):
            attempt()
    assert not session.kernel.has_store


def test_a_name_that_is_too_long_is_said_to_be(session: Session):
    with pytest.raises(NameTooLong):
        session.write("/memory/" + "名" * 86, "x")


# --- private spaces ------------------------------------------------------------------------------


def test_ones_own_space_is_private(session: Session, other: Session):
    session.write("/private/note", "secret")
    assert session.read("/memory/private/akashi/note").text == "secret"
    assert not other.exists("/memory/private/akashi/note")
    assert not other.exists("/private/note")
    assert other.list("/memory/private") == []


@pytest.mark.parametrize("own", ["before it is there", "when it is there"])
def test_a_space_is_a_directory_and_stays_where_it_is(session: Session, own: str):
    session.write("/memory/file", "x")
    session.write("/memory/dir/file", "x")
    if own == "when it is there":
        session.write("/private/note", "x")
    for attempt in (
        lambda: session.write("/private", "x"),
        lambda: session.append("/private", "x"),
        lambda: session.write("/memory/private/akashi", "x"),
        lambda: session.write_many([("/private", "x")]),
        lambda: session.rename("/memory/file", "/private"),
        lambda: session.rename("/memory/dir", "/private"),
        lambda: session.rename("/memory/dir", "/private", replace=True),
        lambda: session.rename("/private", "/memory/elsewhere"),
        lambda: session.rename("/private", "/memory/private/kuro"),
        lambda: session.rename_prefix("/memory/private/aka", "/memory/private/bka"),
        lambda: session.rename_prefix("/memory/di", "/memory/private/x"),
    ):
        with pytest.raises((IsADirectory, NotFound, Exists)):
            attempt()
    assert session.exists("/memory/file")
    assert session.exists("/memory/dir/file")
    assert session.exists("/private/note") == (own == "when it is there")
    for entry in session.list("/memory/private"):
        assert entry.is_directory


@pytest.mark.parametrize("path", ["/", "/memory", "/memory/private", "/memory/shared", "/shared"])
def test_the_fixed_places_cannot_be_moved_or_removed(session: Session, path: str):
    session.write("/memory/file", "x")
    for attempt in (
        lambda: session.delete(path, recursive=True),
        lambda: session.rename(path, "/elsewhere"),
        lambda: session.rename("/memory/file", path, replace=True),
    ):
        with pytest.raises((InUse, Invalid, Exists, IsADirectory, NotEmpty, Denied)):
            attempt()
    assert session.exists("/memory/file")
    assert session.stat(path).is_directory


# --- moving --------------------------------------------------------------------------------------


def test_a_move_keeps_the_node_with_all_that_belongs_to_it(session: Session):
    session.write("/memory/a/n", "x", {"title": "N", "tags": ["t"]})
    session.write("/memory/b", "y")
    session.link("/memory/a/n", "/memory/b")
    session.share("/memory/a/n", "kuro")
    before = session.stat("/memory/a/n").id
    session.rename("/memory/a", "/archive")
    node = session.read("/archive/n")
    assert (node.stat.id, node.text, node.meta["title"], node.tags) == (before, "x", "N", ("t",))
    assert session.links("/memory/b") == [Link("/memory/b", "related", "/archive/n")]
    assert session.shares("/archive/n") == {"kuro": "r"}
    assert not session.exists("/memory/a")


def test_a_move_never_overwrites_unless_told(session: Session):
    session.write("/memory/a", "a")
    session.write("/memory/b", "b")
    with pytest.raises(Exists):
        session.rename("/memory/a", "/memory/b")
    assert session.read("/memory/b").text == "b"
    session.rename("/memory/a", "/memory/b", replace=True)
    assert session.read("/memory/b").text == "a"


def test_a_prefix_moves_whole_or_not_at_all(session: Session):
    for name in ("news-1", "news-2", "news-dir/a", "new", "archive-2"):
        session.write(f"/memory/{name}", name)
    with pytest.raises(Exists):
        session.rename_prefix("/memory/news-", "/memory/archive-")
    assert session.exists("/memory/news-1")
    moved = session.rename_prefix("/memory/news-", "/memory/old-")
    assert sorted(moved.paths) == [
        ("/memory/news-1", "/memory/old-1"),
        ("/memory/news-2", "/memory/old-2"),
        ("/memory/news-dir", "/memory/old-dir"),
    ]
    assert session.read("/memory/old-dir/a").text == "news-dir/a"
    assert session.exists("/memory/new")
    with pytest.raises(NotFound):
        session.rename_prefix("/memory/news-", "/memory/x-")
    with pytest.raises(Invalid, match="does not end in a slash"):
        session.rename_prefix("/memory/old-dir/", "/memory/x")


# --- links ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["peer", "related"])
def test_symmetric_links_show_from_both_sides_and_are_removed_from_either(session: Session, kind: str):
    for name in "ab":
        session.write(f"/memory/{name}", name)
    session.link("/memory/a", "/memory/b", kind, 0.5)
    assert session.links("/memory/a") == [Link("/memory/a", kind, "/memory/b", 0.5)]
    assert session.links("/memory/b") == [Link("/memory/b", kind, "/memory/a", 0.5)]
    assert session.unlink("/memory/b", "/memory/a", kind) == 1
    assert session.links("/memory/a") == session.links("/memory/b") == []
    session.link("/memory/a", "/memory/b", kind)
    assert session.unlink("/memory/b", "/memory/a") == 1
    assert session.unlink("/memory/b", "/memory/a") == 0


@pytest.mark.parametrize("kind", ["parent", "citation", "derived", "supersedes", "my_own"])
def test_directed_links_show_and_are_removed_from_their_source(session: Session, kind: str):
    for name in "ab":
        session.write(f"/memory/{name}", name)
    session.link("/memory/a", "/memory/b", kind)
    assert session.links("/memory/b") == []
    assert session.unlink("/memory/b", "/memory/a", kind) == 0
    assert session.links("/memory/a") == [Link("/memory/a", kind, "/memory/b")]
    assert session.unlink("/memory/a", "/memory/b") == 1


def test_links_are_ordered_by_kind_and_weight(session: Session):
    for name in "abcd":
        session.write(f"/memory/{name}", name)
    session.link("/memory/a", "/memory/b", "related", 0.1)
    session.link("/memory/a", "/memory/c", "related", 0.9)
    session.link("/memory/a", "/memory/d", "citation", 0.5)
    session.link("/memory/a", "/memory/b", "related", 0.2)
    assert [(link.kind, link.target[-1], link.weight) for link in session.links("/memory/a")] == [
        ("citation", "d", 0.5),
        ("related", "c", 0.9),
        ("related", "b", 0.2),
    ]


@pytest.mark.parametrize("kind", ["", "Related", "two words", "a/b", "a\tb", "1st"])
def test_what_is_no_kind_of_link_is_refused(session: Session, kind: str):
    session.write("/memory/a", "x")
    with pytest.raises(Invalid, match="lower-case word"):
        session.link("/memory/a", "/memory/a", kind)


@pytest.mark.parametrize("weight", [0, -1, float("nan"), float("inf")])
def test_what_is_no_weight_is_refused(session: Session, weight: float):
    session.write("/memory/a", "x")
    with pytest.raises(Invalid, match="positive number"):
        session.link("/memory/a", "/memory/a", "related", weight)


# --- listing and finding -------------------------------------------------------------------------


def test_listings_come_in_binary_order_and_in_pages(session: Session):
    names = ["A", "B", "a", "b-1", "b1", "é", "局", "🐙"]
    for name in reversed(names):
        session.write(f"/d/{name}", "x")
    assert [entry.name for entry in session.list("/d")] == names
    assert [entry.name for entry in session.list("/d", limit=3)] == names[:3]
    assert [entry.name for entry in session.list("/d", limit=3, after="a")] == names[3:6]
    assert session.list("/d", after="🐙") == session.list("/d", limit=0) == []
    assert [entry.path for entry in session.list("/d/", limit=1)] == ["/d/A"]


def test_a_directory_of_many_pages_is_listed_whole(session: Session):
    session.write_many([(f"/d/{number:05}", b"") for number in range(2500)])
    assert len(session.list("/d")) == 2500
    assert len(list(session.walk("/d"))) == 2501


@pytest.mark.parametrize(
    "query", ["", "*", '"', "a/b", "-x", "NOT", "risk AND", "(", "\0", "\ud800", "x" * 100_000]
)
def test_any_text_is_a_query(session: Session, query: str):
    session.write("/memory/a", "quokka")
    assert isinstance(session.search(query), list)


def test_a_search_stays_below_and_has_all_tags(session: Session):
    session.write("/memory/x/a", "quokka", {"tags": ["t", "u"]})
    session.write("/memory/xy", "quokka", {"tags": ["t"]})
    assert [hit.path for hit in session.search("quokka", under="/memory/x")] == ["/memory/x/a"]
    assert [hit.path for hit in session.search("quokka", tags=["t", "u"])] == ["/memory/x/a"]
    assert len(session.search("quokka", tags=["t"])) == 2
    assert len(session.search("quokka", 1)) == 1
    with pytest.raises(Invalid, match="limit is"):
        session.search("quokka", 0)


# --- several threads, and the end ----------------------------------------------------------------


def test_one_session_serves_many_threads(session: Session):
    failures: list[object] = []

    def work(name: int) -> None:
        try:
            for number in range(25):
                session.write(f"/memory/{name}", str(number), {"n": number})
                node = session.read(f"/memory/{name}")
                assert (node.text, node.meta) == (str(number), {"n": number})
                session.append("/memory/log", f"{name}.{number}\n")
                session.list("/memory")
                session.tag("/memory/log", [f"t{name}"])
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    lines = session.read("/memory/log").text.split()
    assert sorted(lines) == sorted(f"{name}.{number}" for name in range(6) for number in range(25))
    assert session.read("/memory/log").tags == tuple(f"t{name}" for name in range(6))


def test_after_closing_everything_is_a_clear_error_even_what_was_hot(tmp_path: Path):
    kernel = Kernel(None, tmp_path / "avm.db")
    session = kernel.session("akashi")
    session.write("/memory/a", "quokka")
    session.read("/memory/a")
    session.search("quokka")
    kernel.close()
    kernel.close()
    for attempt in (
        lambda: session.read("/memory/a"),
        lambda: session.write("/memory/a", "x"),
        lambda: session.append("/memory/a", "x"),
        lambda: session.stat("/memory/a"),
        lambda: session.list("/memory"),
        lambda: session.search("quokka"),
        lambda: session.delete("/memory/a"),
        lambda: session.link("/memory/a", "/memory/a"),
        lambda: session.tag_counts(),
        lambda: session.stats(),
        lambda: session.access("/memory/a"),
        lambda: session.read("/memory/a:tags"),
    ):
        with pytest.raises(StoreError, match="closed"):
            attempt()
    with Kernel(None, tmp_path / "avm.db") as again:
        assert again.session("akashi").read("/memory/a").text == "quokka"


def test_closing_while_threads_work_ends_them_with_an_error_and_loses_nothing(tmp_path: Path):
    kernel = Kernel(None, tmp_path / "avm.db")
    session = kernel.session("akashi")
    session.write("/memory/start", "x")
    written: list[str] = []
    odd: list[BaseException] = []

    def work(name: int) -> None:
        try:
            for number in range(10_000):
                session.write(f"/memory/{name}-{number}", "x")
                written.append(f"/memory/{name}-{number}")
                session.read(f"/memory/{name}-{number}")
        except StoreError:
            pass
        except BaseException as error:
            odd.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(3)]
    for thread in threads:
        thread.start()
    while len(written) < 30 and not odd:
        time.sleep(0.001)
    kernel.close()
    for thread in threads:
        thread.join(timeout=30)
    assert odd == []
    with Kernel(None, tmp_path / "avm.db") as again:
        reader = again.session("akashi")
        assert all(reader.exists(path) for path in written)


FORKING = """
import os, sys
from avm import AVM
memory = AVM(db=sys.argv[1], agent="akashi")
memory.write("/memory/a", "quokka")
memory.search("quokka")
child = os.fork()
memory.append("/memory/a", " c" if child == 0 else " p")
assert memory.read("/memory/a").text.startswith("quokka")
assert [hit.path for hit in memory.search("quokka")] == ["/memory/a"]
if child == 0:
    memory.write("/memory/child", "x")
    memory.close()
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert sorted(memory.read("/memory/a").text.split()) == ["c", "p", "quokka"], memory.read("/memory/a").text
assert memory.read("/memory/child").text == "x"
memory.write("/memory/a", "both")
assert memory.read("/memory/a").text == "both"
"""


def test_a_child_and_its_parent_both_go_on_after_a_fork(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FORKING, str(tmp_path / "avm.db")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_sharing_with_nobody_is_told_where_agents_are_configured(tmp_path: Path):
    users = {name: User(name) for name in ("akashi", "yuze")}
    with Kernel(Config(users=users), tmp_path / "avm.db") as kernel:
        session = kernel.session("akashi")
        session.write("/private/x", "x")
        for attempt in (
            lambda: session.share("/private/x", "yuse"),
            lambda: session.write("/private/x:shared", "yuze\nyuse rw\n"),
        ):
            with pytest.raises(Invalid, match="there is no agent 'yuse' to share with; did you mean 'yuze'"):
                attempt()
        assert session.shares("/private/x") == {}
        session.write("/memory/y", "y")
        with pytest.raises(Denied):  # and to nobody else is it told who there is
            kernel.session("yuze").share("/memory/y", "yuse")
        session.share("/private/x", "yuze")
        session.share("/private/x", "nobody-any-more", None)
