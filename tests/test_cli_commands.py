"""Each command on its own, run in this process: what it prints, what it says, how it ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from avm_builtin.frontends.cli.errors import EXIT_CODES, exit_code
from vfs_core import errors

Avm = Callable[..., Any]
"""The fixture `avm` (conftest.py)."""


def write(avm: Avm, *paths: str) -> None:
    for path in paths:
        assert avm("write", path, "--content", f"content of {path}").code == 0


# --- write, append, read, cat --------------------------------------------------------------------


def test_write_tells_the_version_and_json_tells_all(avm: Avm) -> None:
    assert avm("write", "x", "--content", "1").err == "/memory/x version 1\n"
    done = avm("write", "x", "--content", "22", "--base-version", "1", "--json")
    assert done.err == ""
    assert {k: done.json[k] for k in ("path", "version", "size")} == {
        "path": "/memory/x",
        "version": 2,
        "size": 2,
    }


def test_write_can_insist_on_making_the_note(avm: Avm) -> None:
    assert avm("write", "x", "--content", "1", "--base-version", "0").code == 0
    assert avm("write", "x", "--content", "2", "--base-version", "0").code == 5
    assert avm("read", "x").out == "1"


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("importance=0.8", 0.8),
        ("importance=true", True),
        ('importance=["a"]', ["a"]),
        ("importance=two words=three", "two words=three"),
        ("importance=NaN", "NaN"),
    ],
)
def test_metadata_is_json_where_it_can_be(avm: Avm, given: str, stored: object) -> None:
    avm("write", "x", "--content", "1", "--meta", given, "--meta", "gone=1")
    assert avm("read", "x", "--json").json["meta"] == {"gone": 1, "importance": stored}
    avm("write", "x", "--content", "1", "--meta", "gone=")
    assert avm("read", "x", "--json").json["meta"] == {"importance": stored}


@pytest.mark.parametrize("given", ["nothing", "=x", ""])
def test_metadata_without_a_key_is_refused(avm: Avm, given: str) -> None:
    assert avm("write", "x", "--content", "1", "--meta", given).code == 2
    assert avm("ls", "--json").json[-1]["name"] == "shared"


def test_cat_goes_on_after_a_path_that_fails_and_ends_with_its_code(avm: Avm) -> None:
    write(avm, "a", "b")
    done = avm("cat", "a", "nothing", "b")
    assert done == (3, "content of acontent of b", "avm: /memory/nothing: not found\n")
    assert [each["path"] for each in avm("cat", "a", "b", "--json").json] == ["/memory/a", "/memory/b"]


def test_json_carries_binary_content_as_base64(avm: Avm) -> None:
    avm("write", "x", stdin=b"\xff\x00")
    assert avm("read", "x", "--json").json["base64"] == "/wA="


# --- ls, mkdir, rm -------------------------------------------------------------------------------


def test_ls_lists_directories_files_and_trees(avm: Avm) -> None:
    write(avm, "d/a", "d/e/b")
    assert avm("ls", "d").out == "a\ne\n"
    assert avm("ls", "d/a").out == "/memory/d/a\n"
    assert avm("ls", "-R", "d/").out == "a\ne\ne/b\n"
    assert avm("ls", "d", "d/e").out == "/memory/d/a\n/memory/d/e\n/memory/d/e/b\n"
    mode, owner, size, _, _, version, name = avm("ls", "-l", "d").out.splitlines()[0].split()
    assert (mode, size, version, name) == ("-rw-rw-rw-", "14", "v1", "a")
    assert owner == avm("ls", "d", "--json").json[0]["owner"]
    assert avm("ls", "nothing").code == 3


def test_mkdir_makes_parents_only_when_told(avm: Avm) -> None:
    assert avm("mkdir", "a/b").code == 3
    assert avm("mkdir", "-p", "a/b", "a/b").code == 0
    assert avm("mkdir", "a/b").code == 5


def test_rm_wants_to_be_told_about_directories_and_may_be_told_to_be_content(avm: Avm) -> None:
    write(avm, "d/a", "d/b", "c")
    refused = avm("rm", "d")
    assert refused.code == 1
    assert "rm -r" in refused.err
    assert avm("rm", "-r", "d").err == "removed 3 names\n"
    assert avm("rm", "d").code == 3
    assert avm("rm", "-f", "d", "c").code == 0
    assert avm("ls").out == "private\nshared\n"


def test_what_rm_says_of_a_directory_of_a_handler_works(avm: Avm, tmp_path: Path) -> None:
    (tmp_path / "files" / "dir").mkdir(parents=True)
    (tmp_path / "files" / "dir" / "a").write_text("1")
    config = tmp_path / "config.yaml"
    config.write_text(
        "providers:\n"
        f"  - {{pattern: '/files/**', handler: file, config: {{root: '{tmp_path}/files', writable: true}}}}\n"
        "permissions:\n  - {pattern: '/files/**', access: rw}\n"
    )
    refused = avm("--config", config, "rm", "/files/dir")
    assert refused.code == 1
    assert "rm -r removes it once it is empty" in refused.err
    assert "remove what is in it first" in avm("--config", config, "rm", "-r", "/files/dir").err
    assert avm("--config", config, "rm", "/files/dir/a").code == 0
    assert avm("--config", config, "rm", "-r", "/files/dir").code == 0
    assert not (tmp_path / "files" / "dir").exists()
    assert "a directory of the configured providers" in avm("--config", config, "rm", "-r", "/files").err


# --- mv ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("a", "b", "b"),
        ("a", "dir", "dir/a"),
        ("a", "dir/", "dir/a"),
        ("a", "new/", "new/a"),
        ("a", "new/b", "new/b"),
        ("sub", "dir", "dir/sub/s"),
        ("sub/", "moved/", "moved/s"),
        ("sub", "moved", "moved/s"),
        ("/memory/a", "/elsewhere/a", "/elsewhere/a"),
    ],
)
def test_mv_goes_where_mv_goes(avm: Avm, old: str, new: str, expected: str) -> None:
    write(avm, "a", "dir/d", "sub/s")
    assert avm("mv", old, new).code == 0
    assert avm("read", expected).code == 0
    assert avm("ls", old).code == 3


@pytest.mark.parametrize(("old", "new"), [("a/", "b"), ("a", "dir/d/")])
def test_a_slash_behind_a_file_is_refused(avm: Avm, old: str, new: str) -> None:
    write(avm, "a", "dir/d")
    assert avm("mv", old, new).code == 1
    assert avm("read", "a").code == 0


def test_mv_of_something_to_itself_is_refused(avm: Avm) -> None:
    write(avm, "a", "dir/d")
    assert avm("mv", "a", "a").code == 5
    assert avm("mv", "dir", "/memory/dir/").code == 5
    assert avm("ls", "-R").out == "a\ndir\ndir/d\nprivate\nshared\n"


def test_mv_never_replaces_unless_told(avm: Avm) -> None:
    write(avm, "a", "b", "dir/a")
    assert avm("mv", "a", "b").code == 5
    assert avm("mv", "a", "dir").code == 5
    assert avm("mv", "a", "b", "--force").code == 0
    assert avm("read", "b").out == "content of a"


def test_mv_of_a_prefix_moves_all_or_nothing_and_says_how_many(avm: Avm) -> None:
    write(avm, "news-1", "news-2", "news.md", "old/news-2")
    assert avm("mv", "news-", "old/news-").code == 5
    assert avm("ls", "old").out == "news-2\n"
    assert avm("mv", "news-", "old/n_").err == "moved 2 names\n"
    assert avm("mv", "--prefix", "old/n_", "x", "--json").json["moved"] == 2
    assert avm("ls").out == "news.md\nold\nprivate\nshared\nx1\nx2\n"
    assert avm("mv", "--prefix", "--force", "x", "y").code == 2
    assert avm("mv", "none-", "some-").code == 3


def test_a_file_whose_name_ends_like_a_prefix_moves_by_its_name(avm: Avm) -> None:
    write(avm, "a-", "b")
    assert avm("mv", "a-", "c").err == "/memory/a- -> /memory/c\n"


# --- search --------------------------------------------------------------------------------------


def test_search_can_be_limited_by_number_tag_and_place(avm: Avm) -> None:
    for path, tag in (("a", "t"), ("b", "u"), ("d/c", "t")):
        avm("write", path, "--content", "quokka", "--tag", tag)

    def found(*options: str) -> list[str]:
        return sorted(hit["path"] for hit in avm("search", "quokka", "--json", *options).json)

    assert found() == ["/memory/a", "/memory/b", "/memory/d/c"]
    assert len(found("-n", "1")) == 1
    assert found("--tag", "t") == ["/memory/a", "/memory/d/c"]
    assert found("--in", "d") == ["/memory/d/c"]
    assert avm("search", "quokka", "--in", "nowhere") == (6, "", "nothing found\n")
    assert avm("search", "quokka", "--limit", "0").code == 2
    assert avm("search").code == 2


def test_words_that_look_like_options_are_searched_for_behind_two_dashes(avm: Avm) -> None:
    avm("write", "x", "--content", "the option --verbose")
    assert "/memory/x" in avm("search", "--", "--verbose").out


# --- links and tags ------------------------------------------------------------------------------


def test_links_are_made_listed_and_removed(avm: Avm) -> None:
    write(avm, "a", "b")
    assert (
        avm("link", "a", "b", "--kind", "citation", "--weight", "0.5").err
        == "/memory/a -> /memory/b (citation)\n"
    )
    avm("link", "a", "b")
    assert avm("links", "a").out == "citation\t/memory/b\t0.5\nrelated\t/memory/b\t1\n"
    assert avm("links", "b", "--json").json == [{"kind": "related", "target": "/memory/a", "weight": 1.0}]
    assert avm("link", "a", "b", "--remove", "--kind", "citation").err == "removed 1 link\n"
    assert avm("link", "a", "b", "--remove", "--json").json == {"removed": 1}
    assert avm("link", "a", "b", "--remove").code == 3
    assert avm("link", "a", "nothing").code == 3


def test_tags_are_added_taken_away_and_counted(avm: Avm) -> None:
    write(avm, "a", "b")
    assert avm("tag", "a").out == ""
    assert avm("tag", "a", "risk", "trading").out == "risk\ntrading\n"
    assert avm("tag", "a", "new").out == "new\nrisk\ntrading\n"
    assert avm("tag", "a", "--remove", "new", "never").out == "risk\ntrading\n"
    avm("tag", "b", "risk")
    assert avm("tag").out == "risk\t2\ntrading\t1\n"
    assert avm("tag", "--json").json == {"risk": 2, "trading": 1}
    assert avm("tag", "a", "--remove").code == 2
    assert avm("tag", "nothing", "x").code == 3


def test_adding_a_tag_keeps_other_metadata(avm: Avm) -> None:
    avm("write", "a", "--content", "1", "--meta", "title=T")
    avm("tag", "a", "x")
    assert avm("read", "a", "--json").json["meta"] == {"tags": ["x"], "title": "T"}


# --- access and stats ----------------------------------------------------------------------------


def test_access_says_who_may_what_and_why_not(avm: Avm) -> None:
    avm("write", "/private/x", "--content", "1", "-a", "bob")
    avm("write", "y", "--content", "1", "-a", "carol")
    report = avm("access", "/private/x", "-a", "bob", "--json").json
    assert (report["owner"], report["mode"], report["space"]) == ("bob", "0600", "bob")
    may = {each["agent"]: (each["allowed"], each["reason"]) for each in report["agents"]}
    assert may["bob"][0] == ["read", "write", "delete", "share"]
    assert may["carol"] == ([], "does not know of it")
    lines = avm("access", "/private/x", "-a", "bob").out.splitlines()
    assert lines[:3] == [
        "/memory/private/bob/x",
        "owner bob, group bob, mode 0600",
        "in the private space of bob",
    ]
    assert "carol\tnothing\tdoes not know of it" in lines
    assert avm("access", "/private/x", "-a", "carol").code == 3


def test_stats_count_what_the_agent_can_see(avm: Avm) -> None:
    avm("write", "/private/x", "--content", "123", "-a", "bob")
    avm("write", "y", "--content", "12345", "-a", "bob")
    assert {k: avm("stats", "--json", "-a", "bob").json[k] for k in ("notes", "size", "private")} == {
        "notes": 2, "size": 8, "private": 1,
    }  # fmt: skip
    assert avm("stats", "--json", "-a", "carol").json["notes"] == 1
    assert "1 (5 B), 0 of them private" in avm("stats", "-a", "carol").out


# --- the exit codes ------------------------------------------------------------------------------


def _every_error(of: type[BaseException] = errors.VfsError) -> list[type[BaseException]]:
    return [of, *(each for below in of.__subclasses__() for each in _every_error(below))]


@pytest.mark.parametrize("kind", _every_error(), ids=lambda kind: kind.__name__)
def test_every_error_of_the_kernel_has_a_documented_exit_code(kind: type[BaseException]) -> None:
    assert exit_code(kind([])) in EXIT_CODES


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errors.NotOwner(""), 4),
        (errors.NameTooLong(""), 2),
        (errors.MissingExtra(""), 7),
        (errors.CorruptStore(""), 8),
        (errors.NoSpace(""), 9),
        (errors.ReadOnly(""), 9),
        (errors.Unsupported(""), 1),
        (PermissionError(13, ""), 4),
        (OSError(28, ""), 9),
        (KeyboardInterrupt(), 130),
        (ZeroDivisionError(), 1),
    ],
)
def test_the_exit_code_is_that_of_the_nearest_class(error: BaseException, expected: int) -> None:
    assert exit_code(error) == expected


def test_options_that_are_given_empty_are_refused(avm: Avm) -> None:
    for option in ("--db", "--config", "--agent"):
        assert avm(option, "", "ls").code == 2
