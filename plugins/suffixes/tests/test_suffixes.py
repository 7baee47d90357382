"""The built-in suffixes keep the contract, have the documented formats, and take no bad input."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avm_suffixes.content import Data, Info
from avm_suffixes.content import Path as PathSuffix
from avm_suffixes.graph import Links
from avm_suffixes.metadata import Meta, Tags
from avm_suffixes.sharing import Shared
from vfs_core.errors import (
    Denied,
    Invalid,
    IsADirectory,
    NotFound,
    NotOwner,
    Unsupported,
    VfsError,
)
from vfs_core.kernel import Kernel
from vfs_core.session import Session
from vfs_core.suffix import BaseSuffix, SuffixContext
from vfs_core.testing import SuffixTests
from vfs_core.types import Link

NOTE = "/memory/note.md"
ALL = (
    *("access", "blame", "data", "delta", "diff", "history", "info", "links"),
    *("mark", "meta", "path", "shared", "tags", "ttl"),
)
"""Those that a file has, but for two that need a query or do not work yet."""
WRITABLE = ("data", "inbox", "links", "mark", "meta", "shared", "tags", "ttl")


@pytest.fixture
def session(kernel: Kernel) -> Session:
    opened = kernel.session("akashi")
    opened.write(NOTE, "quokka", {"title": "N", "tags": ["b", "a"]})
    opened.write("/memory/other.md", "x")
    opened.link(NOTE, "/memory/other.md", "citation", 0.25)
    opened.share(NOTE, "kuro")
    return opened


# --- the contract --------------------------------------------------------------------------------


class BuiltIn(SuffixTests):
    @pytest.fixture
    def context(self, session: Session) -> SuffixContext:
        return SuffixContext(session, NOTE, {})


class TestData(BuiltIn):
    @pytest.fixture
    def suffix(self) -> BaseSuffix:
        return Data()

    @pytest.fixture
    def good_input(self):
        return (b"", b"text", b"\0\xff\xfe")

    @pytest.fixture
    def bad_input(self):
        return ()


class TestMeta(BuiltIn):
    @pytest.fixture
    def suffix(self) -> BaseSuffix:
        return Meta()

    @pytest.fixture
    def good_input(self):
        return (
            b"{}",
            b'{"title": "X", "n": [1, {"a": null}], "tags": ["x"]}',
            b'{"title": null}',
            b'{"node": 7}',
        )

    @pytest.fixture
    def bad_input(self):
        return (
            *(b"\xff\xfe", b"", b"{", b"title: X", b"[]", b'"x"', b"7", b"null"),
            *(b'{"x": NaN}', b'{"x": Infinity}', b'{"x": "\\ud800"}', b'{"tags": 7}', b'{"tags": ["a,b"]}'),
            *(b"[" * 100_000, b'{"x": ' * 100_000, b'{"x": ' + b"1" * 10_000 + b"}"),
        )


class TestTags(BuiltIn):
    @pytest.fixture
    def suffix(self) -> BaseSuffix:
        return Tags()

    @pytest.fixture
    def good_input(self):
        return (b"a", b"a, b\nc\r\n", "局势".encode(), b"", b" , ,\n")

    @pytest.fixture
    def bad_input(self):
        return (b"\xff\xfe", b"a\0b", b"a, \xff")


class TestLinks(BuiltIn):
    @pytest.fixture
    def suffix(self) -> BaseSuffix:
        return Links()

    @pytest.fixture
    def good_input(self):
        return (
            b"/memory/other.md",
            b"peer /memory/other.md\n\nderived\t/memory/other.md\t0.5\n",
            b"",
            b"\n \n",
        )

    @pytest.fixture
    def bad_input(self):
        return (
            *(
                b"\xff\xfe",
                b"memory/other.md",
                b"related",
                b"related memory/other.md",
                b"two words /memory/other.md",
            ),
            *(
                b"Upper /memory/other.md",
                b"peer /memory/other.md\nUpper /memory/other.md",
                b"peer /memory/other.md:tags",
            ),
            *(b"peer\t/memory/other.md\tmuch", b"peer\t/memory/other.md\t-1", b"peer\t/memory/other.md\tnan"),
        )


class TestShared(BuiltIn):
    @pytest.fixture
    def suffix(self) -> BaseSuffix:
        return Shared()

    @pytest.fixture
    def good_input(self):
        return (b"kuro", b"kuro rw, ann r\nbob", b"", "明石\n".encode())

    @pytest.fixture
    def bad_input(self):
        return (
            *(
                b"\xff\xfe",
                b"ann\n\xff",
                b"kuro w",
                b"kuro  rw",
                b"kuro rwx",
                b"ann\n@all",
                b"a/b",
                b"*",
                b"-x",
            ),
            *(b"ann bob", b"x" * 65),
        )


class TestPath(BuiltIn):
    @pytest.fixture
    def suffix(self) -> BaseSuffix:
        return PathSuffix()


class TestInfo(BuiltIn):
    @pytest.fixture
    def suffix(self) -> BaseSuffix:
        return Info()


# --- the formats (docs/suffixes.md) --------------------------------------------------------------


def test_data_is_the_content_byte_for_byte(session: Session):
    session.write(NOTE, b"\0\xff\r\n")
    assert session.read(f"{NOTE}:data").data == b"\0\xff\r\n"
    session.write(f"{NOTE}:data", b"new\xff")
    assert session.read(NOTE).data == b"new\xff"
    assert session.read(NOTE).meta["title"] == "N"


def test_meta_is_the_metadata_with_what_the_node_is(session: Session):
    shown = json.loads(session.read(f"{NOTE}:meta").text)
    node = shown.pop("node")
    assert shown == {"title": "N", "tags": ["a", "b"]}
    stat = session.stat(NOTE)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00", node.pop("modified"))
    assert node == {
        "path": NOTE,
        "id": stat.id,
        "kind": "file",
        "mode": "0666",
        "owner": "akashi",
        "group": "akashi",
        "size": 6,
        "version": 1,
    }


def test_writing_meta_merges_and_null_removes(session: Session):
    session.write(f"{NOTE}:meta", '{"title": null, "author": "名", "node": {"id": 7}}')
    assert session.read(NOTE).meta == {"tags": ["a", "b"], "author": "名"}


def test_tags_are_one_line_and_empty_without_any(session: Session):
    assert session.read(f"{NOTE}:tags").text == "a, b\n"
    session.write(f"{NOTE}:tags", "x\n y ,x")
    assert session.read(NOTE).tags == ("x", "y")
    session.write(f"{NOTE}:tags", "")
    assert session.read(f"{NOTE}:tags").data == b""
    assert session.read(NOTE).meta == {"title": "N"}


def test_links_are_lines_of_kind_path_and_weight_and_writing_adds(session: Session):
    assert session.read(f"{NOTE}:links").text == "citation\t/memory/other.md\t0.25\n"
    session.write("/memory/with spaces", "x")
    session.write("/private/p", "x")
    session.write(f"{NOTE}:links", "/memory/with spaces\npeer /private/p\nsupersedes\t/memory/other.md\t2\n")
    assert session.read(f"{NOTE}:links").text == (
        "citation\t/memory/other.md\t0.25\n"
        "peer\t/memory/private/akashi/p\t1\n"
        "related\t/memory/with spaces\t1\n"
        "supersedes\t/memory/other.md\t2\n"
    )


def test_shares_are_lines_and_writing_makes_them_exactly_these(session: Session):
    assert session.read(f"{NOTE}:shared").text == "kuro\n"
    session.write(f"{NOTE}:shared", "ann rw, bob")
    assert session.read(f"{NOTE}:shared").text == "ann rw\nbob\n"
    assert session.shares(NOTE) == {"ann": "rw", "bob": "r"}
    session.write(f"{NOTE}:shared", "")
    assert session.read(f"{NOTE}:shared").data == b""


def test_the_path_is_absolute_and_without_aliases(session: Session):
    session.write("/private/p", "x")
    assert session.read("//private/./p:path").text == "/memory/private/akashi/p\n"
    assert session.read("/shared/:path").text == "/memory/shared\n"


def test_info_lists_the_suffixes_that_the_node_has(session: Session):
    lines = [line.split("\t") for line in session.read(f"{NOTE}:info").text.splitlines()]
    assert [(name, access) for name, access, _ in lines] == [
        (f":{name}", "rw" if name in WRITABLE else "r") for name in sorted((*ALL, "at", "inbox"))
    ]
    assert all(summary for _, _, summary in lines)
    directory = session.read("/memory:info").text
    assert ":meta\t" in directory
    assert ":data\t" not in directory


@pytest.mark.parametrize("suffix", ["meta", "tags", "links", "shared"])
def test_writing_back_what_was_read_changes_nothing(session: Session, suffix: str):
    before = {name: session.read(f"{NOTE}:{name}").text for name in ("meta", "tags", "links", "shared")}
    session.write(f"{NOTE}:{suffix}", before[suffix])
    assert {name: session.read(f"{NOTE}:{name}").text for name in before} == before


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters=","), max_size=8)))
def test_any_tags_come_back_as_they_were_set(tmp_path_factory: pytest.TempPathFactory, tags: list[str]):
    with Kernel(None, ":memory:") as kernel:
        session = kernel.session()
        session.write("/memory/n", "x")
        session.write("/memory/n:tags", ",".join(tags))
        expected = sorted({tag.strip() for tag in tags} - {""})
        assert list(session.read("/memory/n").tags) == expected
        session.write("/memory/n:tags", session.read("/memory/n:tags").data)
        assert list(session.read("/memory/n").tags) == expected


# --- through a session ---------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ALL)
def test_a_missing_base_is_not_found_and_not_made(session: Session, suffix: str):
    with pytest.raises(NotFound, match=r"^/memory/no: not found$"):
        session.read(f"/memory/no:{suffix}")
    for content in ("x", "{}", "/memory/other.md"):
        with pytest.raises((NotFound, Unsupported, Invalid)):
            session.write(f"/memory/no:{suffix}", content)
    assert not session.exists("/memory/no")


@pytest.mark.parametrize("suffix", ALL)
def test_a_virtual_node_can_be_examined_and_is_never_listed(session: Session, suffix: str):
    stat = session.stat(f"{NOTE}:{suffix}")
    assert stat.size == len(session.read(f"{NOTE}:{suffix}").data)
    assert not stat.is_directory
    assert {entry.name for entry in session.list("/memory")} == {"note.md", "other.md", "private", "shared"}
    with pytest.raises(VfsError):
        session.list(f"{NOTE}:{suffix}")


@pytest.mark.parametrize("suffix", sorted(set(ALL) - set(WRITABLE)))
def test_what_cannot_be_written_says_so(session: Session, suffix: str):
    with pytest.raises(Unsupported, match=f"{NOTE}:{suffix} cannot be written"):
        session.write(f"{NOTE}:{suffix}", "x")


@pytest.mark.parametrize("suffix", ALL)
def test_nothing_of_a_private_note_shows_through_a_suffix(kernel: Kernel, session: Session, suffix: str):
    session.write("/private/p", "secret", {"tags": ["secret"]})
    kuro = kernel.session("kuro")
    with pytest.raises(NotFound, match=r"^/memory/private/akashi/p: not found$"):
        kuro.read(f"/memory/private/akashi/p:{suffix}")
    if suffix in WRITABLE:
        with pytest.raises(NotFound, match=r"^/memory/private/akashi/p: not found$"):
            kuro.write(f"/memory/private/akashi/p:{suffix}", "x")
    assert session.read("/private/p").text == "secret"


@pytest.mark.parametrize("suffix", ["data", "meta", "tags", "links"])
def test_writing_a_suffix_is_writing_the_node(kernel: Kernel, session: Session, suffix: str):
    session.set_mode(NOTE, 0o644)
    kuro = kernel.session("kuro")
    before = session.read(NOTE)
    with pytest.raises(Denied):
        kuro.write(f"{NOTE}:{suffix}", "{}")
    assert session.read(NOTE) == before
    assert kuro.read(f"{NOTE}:{suffix}").data == session.read(f"{NOTE}:{suffix}").data


def test_only_the_owner_writes_the_shares(kernel: Kernel, session: Session):
    with pytest.raises(NotOwner):
        kernel.session("kuro").write(f"{NOTE}:shared", "kuro rw")
    assert session.read(f"{NOTE}:shared").text == "kuro\n"


def test_links_are_made_all_or_none(kernel: Kernel, session: Session):
    session.write("/private/p", "x")
    kuro = kernel.session("kuro")
    before = session.links(NOTE)
    for target, error in (("/memory/private/akashi/p", NotFound), ("/memory/no", NotFound)):
        with pytest.raises(error):
            kuro.write(f"{NOTE}:links", f"peer /memory/other.md\npeer {target}")
        assert session.links(NOTE) == before
    kuro.write(f"{NOTE}:links", "peer /memory/other.md")
    assert Link(NOTE, "peer", "/memory/other.md") in session.links(NOTE)


def test_data_is_for_files(session: Session):
    for attempt in (lambda: session.read("/memory:data"), lambda: session.write("/memory:data", "x")):
        with pytest.raises(IsADirectory, match="/memory is a directory, and ':data' is for files"):
            attempt()


def test_directories_have_metadata_tags_links_and_shares(session: Session):
    session.mkdir("/memory/d")
    session.write("/memory/d:tags", "t")
    session.write("/memory/d:meta", '{"title": "D"}')
    session.write("/memory/d:links", f"parent {NOTE}")
    session.write("/memory/d:shared", "kuro rw")
    assert session.read("/memory/d/:tags").text == "t\n"
    assert json.loads(session.read("/memory/d:meta").text)["node"]["kind"] == "dir"
    assert session.read("/memory/d:links").text == f"parent\t{NOTE}\t1\n"
    assert session.read("/memory/d:shared").text == "kuro rw\n"
