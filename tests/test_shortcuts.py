"""`@bcd` is a node by its id: short, without state, good for as long as the node lives, and no way around a right."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vfs_core.errors import Denied, Exists, Invalid, IsADirectory, NotADirectory, NotFound
from vfs_core.kernel import Kernel
from vfs_core.session import Session
from vfs_core.shortcuts import node_of, shortcut_of

IDS = st.integers(0, 2**63 - 1)
NOTE = "/memory/lesson.md"


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Kernel]:
    with Kernel(None, tmp_path / "avm.db") as opened:
        yield opened


@pytest.fixture
def session(kernel: Kernel) -> Session:
    opened = kernel.session("akashi")
    opened.write(NOTE, "quokka", {"tags": ["x"]})
    opened.write("/memory/d/in.md", "deep")
    opened.write("/private/p", "secret")
    return opened


def shortcut(session: Session, path: str) -> str:
    return shortcut_of(session.stat(path).id)


# --- the text ------------------------------------------------------------------------------------


@given(IDS)
@example(0)
@example(2**63 - 1)
def test_every_id_has_one_shortcut_and_comes_back_from_it(node: int):
    assert node_of(shortcut_of(node)) == node


@given(st.text("bcdfghjkmnpqrstvwxyz", min_size=3, max_size=13))
def test_every_text_of_its_letters_is_the_shortcut_of_one_id(letters: str):
    node = node_of(f"@{letters}")
    assert node is not None
    assert shortcut_of(node) == f"@{letters}"


@pytest.mark.parametrize(
    "text", [*("", "@", "@bc", "@abc", "@all", "@123", "@BCD", "@bcd ", "bcd", "@bcd\n", "@bcl"),
             "@" + "z" * 15, "@" + "b" * 99]
)  # fmt: skip
def test_other_texts_are_none(text: str):
    assert node_of(text) is None


def test_the_shortcuts_of_the_first_notes_are_short():
    assert [len(shortcut_of(node)) for node in (1, 7_999, 8_000, 167_999, 168_000)] == [4, 4, 5, 5, 6]


# --- through a session ---------------------------------------------------------------------------


def test_it_is_the_node_with_and_without_a_slash_and_a_suffix(session: Session):
    short = shortcut(session, NOTE)
    for text in (short, f"/{short}", f"//{short}", f"/x/../{short}"):
        assert session.read(text) == session.read(NOTE)
    assert session.read(f"{short}:tags").text == "x\n"
    assert session.read(f"{short}:path?format=json").text == session.read(f"{NOTE}:path?format=json").text
    session.write(f"{short}:tags", "y")
    assert session.read(NOTE).tags == ("y",)


def test_it_works_wherever_a_path_does(session: Session):
    short, directory = shortcut(session, NOTE), shortcut(session, "/memory/d")
    session.write(short, "new")
    session.append(short, "er")
    assert session.read(NOTE).text == "newer"
    assert session.stat(short) == session.stat(NOTE)
    assert session.history(short) == session.history(NOTE)
    assert session.as_of(short, version=1).text == "quokka"
    assert [each.name for each in session.list(directory)] == ["in.md"]
    assert session.read(f"{directory}/in.md").text == "deep"
    session.link(short, f"{directory}/in.md")
    assert [link.target for link in session.links(short)] == ["/memory/d/in.md"]
    assert [hit.path for hit in session.search("deep", under=directory)] == ["/memory/d/in.md"]
    with pytest.raises(IsADirectory):
        session.read(directory)
    with pytest.raises(NotADirectory):
        session.read(f"{short}/")
    assert session.delete(short) == 1
    assert not session.exists(NOTE)


def test_it_survives_renames_of_the_node_and_of_what_it_is_in(session: Session):
    short = shortcut(session, "/memory/d/in.md")
    assert [session.read(short).path for _ in range(3)] == ["/memory/d/in.md"] * 3
    session.rename("/memory/d", "/memory/e")
    assert session.read(short).path == "/memory/e/in.md"
    session.rename(short, "/shared/moved.md")
    assert session.read(short).path == "/memory/shared/moved.md"
    session.write(short, "still")
    session.write("/memory/e/in.md", "another")
    assert session.read("/shared/moved.md").text == "still"
    session.write(short, "again")
    assert (session.read("/shared/moved.md").text, session.read("/memory/e/in.md").text) == (
        "again",
        "another",
    )


def test_it_survives_a_rename_by_another_process(session: Session, kernel: Kernel):
    short = shortcut(session, NOTE)
    for _ in range(3):
        session.read(short)
    with Kernel(None, kernel.location) as second:
        second.session("akashi").rename(NOTE, "/memory/moved.md")
    assert session.read(short).path == "/memory/moved.md"


def test_a_deleted_node_is_not_found_and_comes_back(session: Session):
    short = shortcut(session, NOTE)
    session.delete(NOTE)
    for attempt in (session.read, session.stat, session.delete, lambda path: session.write(path, "x")):
        with pytest.raises(NotFound, match=f"^/{short}: not found$"):
            attempt(short)
    session.restore(NOTE)
    assert session.read(short).text == "quokka"


def test_unknown_and_hidden_nodes_are_told_in_the_same_words(kernel: Kernel, session: Session):
    hidden, kuro = shortcut(session, "/private/p"), kernel.session("kuro")
    for short in (hidden, shortcut_of(10**6), shortcut_of(2**62)):
        for text in (short, f"/{short}:meta", f"{short}:tags?format=json", f"{short}/x"):
            with pytest.raises(NotFound, match=f"^/{short}(/x)?: not found$"):
                kuro.read(text)
        for attempt in (
            lambda path: kuro.write(path, "x"),
            lambda path: kuro.write(f"{path}:tags", "x"),
            kuro.list,
            kuro.delete,
            kuro.links,
            kuro.access,
            lambda path: kuro.rename(path, "/memory/taken"),
            lambda path: kuro.share(path, "kuro"),
        ):
            with pytest.raises(NotFound, match=f"^/{short}: not found$"):
                attempt(short)
    assert session.read(hidden).text == "secret"


def test_it_gives_no_right_that_the_path_does_not(kernel: Kernel, session: Session):
    kuro, short = kernel.session("kuro"), shortcut(session, NOTE)
    session.set_mode(NOTE, 0o644)
    assert kuro.read(short).text == "quokka"
    with pytest.raises(Denied):
        kuro.write(short, "x")
    session.set_mode(NOTE, 0o600)
    with pytest.raises(NotFound):
        kuro.read(short)


def test_of_several_names_one_that_may_be_known_is_taken(kernel: Kernel, session: Session):
    session.hard_link("/private/p", "/memory/zz")
    session.set_mode("/memory/zz", 0o644)
    kuro, short = kernel.session("kuro"), shortcut(session, "/memory/zz")
    assert kuro.read(short).path == "/memory/zz"


def test_nobody_can_make_a_node_that_poses_as_one(session: Session):
    short, free = shortcut(session, NOTE), shortcut_of(10**6)
    for make in (
        lambda path: session.mkdir(path),
        lambda path: session.write(f"{path}/x", "x"),
        lambda path: session.symlink("x", path),
        lambda path: session.rename(NOTE, path),
    ):
        with pytest.raises(NotFound):
            make(f"/{free}")
    with pytest.raises(Exists):
        session.rename("/memory/d/in.md", short)
    session.write("/q" + free[2:], "x")
    with pytest.raises(Invalid, match="is a shortcut to a node"):
        session.rename_prefix("/q", free[:2])
    assert session.read("/q" + free[2:]).text == "x"


def test_names_below_the_root_and_other_names_are_ordinary(session: Session):
    for path in ("/memory/@bcd", "/@all", "/@Note.md", "/memory/d/@bbb"):
        session.write(path, "x")
        assert session.read(path).path == path


def test_the_command_line_takes_it(kernel: Kernel, session: Session):
    import os
    import subprocess
    import sys

    short = shortcut(session, NOTE)

    def avm(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "avm", "--db", str(kernel.location), "-a", "akashi", *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, "AVM_EMBEDDER": "none"}
        )

    assert avm("read", short).stdout == "quokka"
    assert avm("read", f"{short}:tags").stdout == "x\n"
    assert avm("read", f"{short}:meta").stdout == session.read(f"{NOTE}:meta").text
    assert avm("write", short, "--content", "new").returncode == 0
    assert session.read(NOTE).text == "new"
    assert avm("read", shortcut_of(10**6)).returncode == 3
    assert avm("forget", "-y", short).returncode == 0
    assert not session.exists(NOTE)
