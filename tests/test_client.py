"""The Python door: the seed's quick start, who one is, and a store that appears with the first write."""

import inspect
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import avm as package
from avm import AVM, Entry, Hit, Link, Node, Stat, Version
from avm.errors import ConfigError, Conflict, Denied, Invalid, NotFound, ReadOnly, VfsError
from vfs_core import identity
from vfs_core.errors import VfsError as CoreError
from vfs_core.session import Session


@pytest.fixture
def home() -> Path:
    return Path(os.environ["HOME"])


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "avm.db"


def tree(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


# --- the first minute ----------------------------------------------------------------------------


def test_the_seeds_quick_start_runs_as_written():
    from avm import AVM

    avm = AVM()

    # Read/Write
    avm.write("/memory/lesson.md", "# Trading Lesson\n\nRSI > 70 = overbought")
    node = avm.read("/memory/lesson.md")

    # Search
    results = avm.search("RSI")

    assert node.text.startswith("# Trading Lesson")
    assert [hit.path for hit in results] == ["/memory/lesson.md"]
    assert 0 < results[0].score <= 1
    assert "RSI" in results[0].snippet
    avm.close()


def test_the_first_write_makes_the_store_for_its_owner_alone(home: Path):
    before = os.umask(0o000)
    try:
        with AVM() as memory:
            memory.write("/memory/a", "x")
            memory.search("x")
    finally:
        os.umask(before)
    place = home / ".local/share/avm"
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    files = [file for file in place.iterdir() if file.is_file()]
    assert {"avm.db", "avm.bell"} <= {file.name for file in files}
    assert {file.name: stat.S_IMODE(file.stat().st_mode) for file in files} == {
        file.name: 0o600 for file in files
    }


def test_a_directory_that_was_there_keeps_its_mode(tmp_path: Path):
    place = tmp_path / "open"
    place.mkdir()
    place.chmod(0o755)
    with AVM(db=place / "avm.db") as memory:
        memory.write("/memory/a", "x")
    assert stat.S_IMODE(place.stat().st_mode) == 0o755
    assert stat.S_IMODE((place / "avm.db").stat().st_mode) == 0o600


def look_around(memory: AVM) -> None:
    """Everything that only looks."""
    with pytest.raises(NotFound):
        memory.read("/memory/a")
    with pytest.raises(NotFound):
        memory.read("/memory/a:tags")
    assert not memory.exists("/memory/a")
    assert memory.stat("/memory").is_directory
    assert [entry.name for entry in memory.list("/memory")] == ["private", "shared"]
    assert memory.search("anything") == []
    assert memory.tags() == {}
    assert memory.stats().notes == 0
    assert memory.access("/memory").path == "/memory"
    with pytest.raises(NotFound):
        memory.links("/memory/a")


def test_looking_at_a_store_that_is_not_there_makes_nothing_not_even_a_directory(home: Path, tmp_path: Path):
    for place, memory in (
        (home, AVM()),
        (tmp_path, AVM(db=tmp_path / "deep" / "down" / "avm.db", agent="akashi")),
    ):
        with memory:
            look_around(memory)
            with pytest.raises(VfsError):
                memory.write("relative", "x")
            with pytest.raises(Invalid):
                memory.write("/memory/a", None)  # type: ignore[arg-type]
        assert tree(place) == []


def test_a_store_that_another_process_makes_appears_without_reopening(db: Path):
    with AVM(db=db, agent="akashi") as memory:
        look_around(memory)
        code = "import sys; from avm import AVM; AVM(db=sys.argv[1]).write('/memory/a', 'quokka', {'tags': ['t']})"
        subprocess.run([sys.executable, "-c", code, str(db)], check=True)
        assert memory.read("/memory/a").text == "quokka"
        assert [hit.path for hit in memory.search("quokka")] == ["/memory/a"]
        assert memory.tags() == {"t": 1}
        assert memory.read("/memory/a:tags").text == "t\n"
        memory.write("/memory/a", "wombat")
        assert memory.read("/memory/a").text == "wombat"


def test_a_store_in_memory_ends_with_its_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with AVM(db=":memory:") as memory:
        memory.write("/memory/a", "quokka")
        assert [hit.path for hit in memory.search("quokka")] == ["/memory/a"]
    with AVM(db=":memory:") as memory:
        assert not memory.exists("/memory/a")
    assert tree(tmp_path) == []


# --- the facade ----------------------------------------------------------------------------------


def test_what_the_methods_give_has_the_documented_types(db: Path):
    with AVM(db=db, agent="akashi") as memory:
        version = memory.write("/memory/a", "quokka", {"title": "A", "tags": ["t"]})
        assert isinstance(version, Version)
        assert version.version == 1
        node = memory.read("/memory/a")
        assert isinstance(node, Node)
        assert (node.data, node.text, node.meta["title"], node.tags, node.version) == (
            b"quokka",
            "quokka",
            "A",
            ("t",),
            1,
        )
        assert isinstance(node.stat, Stat)
        assert memory.stat("/memory/a") == node.stat
        assert isinstance(memory.append("/memory/a", "!"), Version)
        assert all(isinstance(entry, Entry) for entry in memory.list())
        assert [entry.name for entry in memory.list()] == ["a", "private", "shared"]
        assert isinstance(memory.search("quokka")[0], Hit)
        memory.write("/memory/b", "x")
        memory.link("/memory/a", "/memory/b", "citation", 0.5)
        assert memory.links("/memory/a") == [Link("/memory/a", "citation", "/memory/b", 0.5)]
        assert memory.unlink("/memory/a", "/memory/b") == 1
        assert memory.tags() == {"t": 1}
        assert memory.tags("/memory/a") == {"t": 1}
        assert memory.tags("/memory/b") == {}
        assert memory.update_meta("/memory/b", {"tags": ["u"]}) == {"tags": ["u"]}
        assert memory.mkdir("/memory/d/e", parents=True).is_directory
        assert memory.rename("/memory/b", "/memory/d/b").nodes == 1
        assert memory.rename_prefix("/memory/d/b", "/memory/d/c").nodes == 1
        assert memory.delete("/memory/d", recursive=True) == 3
        assert [each.version for each in memory.write_many([("/memory/c", "1"), ("/memory/a", "2")])] == [
            1,
            3,
        ]
        with pytest.raises(Conflict):
            memory.write("/memory/a", "x", base_version=2)
        assert memory.stats().notes == 2
        assert memory.agent == "akashi"
        assert repr(memory) == f"AVM(agent='akashi', db='{db}')"


def test_signatures_are_those_that_are_promised():
    parameters = inspect.signature(AVM.write).parameters
    assert [(name, each.kind.name) for name, each in parameters.items()][1:] == [
        ("path", "POSITIONAL_OR_KEYWORD"),
        ("content", "POSITIONAL_OR_KEYWORD"),
        ("meta", "POSITIONAL_OR_KEYWORD"),
        ("base_version", "KEYWORD_ONLY"),
    ]
    assert list(inspect.signature(AVM).parameters)[:3] == ["config", "db", "agent"]
    search = inspect.signature(AVM.search).parameters
    assert (list(search)[1:4], search["limit"].default, search["mode"].default) == (
        ["query", "limit", "mode"],
        10,
        "lexical",
    )
    assert list(inspect.signature(AVM.rename).parameters)[1:3] == ["old", "new"]


def test_a_mode_of_search_that_there_is_not_is_refused(db: Path):
    with (
        AVM(db=db) as memory,
        pytest.raises(Invalid, match="mode is one of lexical, semantic, hybrid, not 'psychic'"),
    ):
        memory.search("x", mode="psychic")


def test_two_agents_share_a_note_and_keep_their_own(db: Path):
    with AVM(db=db, agent="akashi") as akashi, AVM(db=db, agent="kuro") as kuro:
        akashi.append("/shared/log", "one\n")
        kuro.append("/shared/log", "two\n")
        assert akashi.read("/memory/shared/log").text == "one\ntwo\n"
        akashi.write("/private/plan", "secret")
        with pytest.raises(NotFound):
            kuro.read("/memory/private/akashi/plan")
        akashi.share("/private/plan", "kuro")
        assert kuro.read("/memory/private/akashi/plan").text == "secret"
        with pytest.raises(Denied):
            kuro.write("/memory/private/akashi/plan", "x")
        akashi.share("/private/plan", "kuro", None)
        assert not kuro.exists("/memory/private/akashi/plan")
        assert akashi.set_mode("/shared/log", 0o644).mode == 0o644
        assert {each.agent for each in akashi.access("/shared/log").agents} >= {"akashi", "kuro"}


def test_every_error_is_in_one_tree_with_an_errno():
    for name in package.errors.__all__:
        each = getattr(package.errors, name)
        if name != "Problem":
            assert issubclass(each, VfsError)
            assert isinstance(each.errno, int)
    everything = {CoreError, *subclasses(CoreError)}
    assert {each.__name__ for each in everything if each.__module__ == "vfs_core.errors"} == {
        name for name in package.errors.__all__ if name != "Problem"
    }


def subclasses(each: type) -> set[type]:
    return {below for child in each.__subclasses__() for below in {child, *subclasses(child)}}


def test_what_the_session_can_do_the_client_offers_in_the_same_words():
    """The client adds no behaviour, so that no door has any of its own."""
    for name, method in inspect.getmembers(AVM, inspect.isfunction):
        if hasattr(Session, name) and not name.startswith("_") and name not in ("search",):
            mine, below = (
                list(inspect.signature(each).parameters) for each in (method, getattr(Session, name))
            )
            assert mine == below, name


# --- configuration -------------------------------------------------------------------------------


def test_a_configuration_file_says_where_the_store_is_and_who_may_what(tmp_path: Path):
    file = tmp_path / "c.yaml"
    file.write_text(
        "storage: {path: here/notes.db}\npermissions: [{pattern: '/memory/frozen/*', access: ro}]\n"
    )
    with AVM(file, agent="akashi") as memory:
        memory.write("/memory/a", "x")
        with pytest.raises(Denied, match=r"/memory/frozen/\* ro \(.*c\.yaml:2\)"):
            memory.write("/memory/frozen/a", "x")
    assert (tmp_path / "here/notes.db").exists()


def test_a_database_that_is_named_wins_over_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file = tmp_path / "c.yaml"
    file.write_text("storage: {path: configured.db}\n")
    monkeypatch.setenv("AVM_CONFIG", str(file))
    with AVM(db=tmp_path / "named.db") as memory:
        memory.write("/memory/a", "x")
    assert (tmp_path / "named.db").exists()
    assert not (tmp_path / "configured.db").exists()


def test_a_configuration_that_was_asked_for_must_be_there_and_be_right(tmp_path: Path):
    with pytest.raises(ConfigError, match="there is no such file"):
        AVM(tmp_path / "no.yaml")
    (tmp_path / "bad.yaml").write_text("permission: []\n")
    with pytest.raises(ConfigError, match=r"bad\.yaml:1: permission"):
        AVM(tmp_path / "bad.yaml")


# --- who one is ----------------------------------------------------------------------------------


def test_without_a_name_one_is_the_login(db: Path):
    with AVM(db=db) as memory:
        assert memory.agent == identity.login()
        assert memory.write("/memory/a", "x").author == identity.login()


def test_the_argument_wins_over_the_variable_and_the_variable_over_the_login(
    db: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AVM_AGENT", "kuro")
    with AVM(db=db) as memory:
        assert memory.agent == "kuro"
    with AVM(db=db, agent="akashi") as memory:
        assert memory.agent == "akashi"
    monkeypatch.setenv("AVM_AGENT", "")
    with AVM(db=db) as memory:
        assert memory.agent == identity.login()


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "@all", "-x", "a b", "*", "{x}", "a:tags", "a\0", "x" * 65]
)
def test_what_cannot_be_a_name_is_refused_and_never_taken_for_the_login(
    db: Path, name: str, monkeypatch: pytest.MonkeyPatch
):
    with pytest.raises(Invalid, match="cannot be an agent's name"):
        AVM(db=db, agent=name)
    if name and "\0" not in name:
        monkeypatch.setenv("AVM_AGENT", name)
        with pytest.raises(Invalid, match="cannot be an agent's name"):
            AVM(db=db)
    assert not db.exists()


def test_the_owner_acts_as_an_agent_and_is_recorded(db: Path):
    with AVM(db=db, agent="akashi") as memory:
        memory.write("/memory/a", "x")
        change = memory.session.store.changes()[-1]
        assert (change.agent, change.actor, change.door) == ("akashi", identity.login(), "python")


def test_who_does_not_own_the_store_is_only_itself(db: Path, monkeypatch: pytest.MonkeyPatch):
    """As seen from another uid; with a real one in `test_another_uid_...` below."""
    with AVM(db=db, agent="akashi") as memory:
        memory.write("/memory/a", "x")
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    for agent in ("akashi", "root", "newcomer"):
        with pytest.raises(Denied, match=f"uid-54321 may not act as {agent}: it neither owns .* 'act_as'"):
            AVM(db=db, agent=agent)
    monkeypatch.setenv("AVM_AGENT", "akashi")
    with pytest.raises(Denied):
        AVM(db=db)
    monkeypatch.delenv("AVM_AGENT")
    with AVM(db=db) as memory:
        assert memory.agent == "uid-54321"
    with AVM(db=db, agent="uid-54321") as memory:
        assert memory.read("/memory/a").text == "x"


def test_who_holds_act_as_may(db: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with AVM(db=db) as memory:
        memory.write("/memory/a", "x")
    file = tmp_path / "c.yaml"
    file.write_text("users: {uid-54321: {capabilities: [read, act_as]}, akashi: {}}\n")
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    with AVM(file, db=db, agent="akashi") as memory:
        assert memory.agent == "akashi"


# As another uid: everything is imported as root first, because this Python may be closed to others.
AS_ANOTHER = """
import os, sys
from avm import AVM
from avm.errors import VfsError
with AVM(db=":memory:") as memory:
    memory.write("/memory/a", "x")
    memory.search("x")
os.setgroups([]); os.setgid(54321); os.setuid(54321)
db = sys.argv[1]
def tell(call):
    try:
        print(call())
    except VfsError as error:
        print(type(error).__name__, error)
tell(lambda: AVM(db=db).agent)
tell(lambda: AVM(db=db).read("/memory/a").text)
tell(lambda: AVM(db=db).read("/memory/private/akashi/a").text)
tell(lambda: AVM(db=db, agent="akashi").agent)
tell(lambda: AVM(db=db).write("/memory/a", "y"))
"""


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that every user may enter; pytest's own are closed to others."""
    place = Path(tempfile.mkdtemp(prefix="avm-client-"))
    place.chmod(0o755)
    yield place
    shutil.rmtree(place)


@pytest.mark.root
def test_another_uid_reads_what_modes_let_it_as_nobody_but_itself(public: Path):
    db = public / "avm.db"
    with AVM(db=db, agent="akashi") as memory:
        memory.write("/memory/a", "x")
        memory.write("/private/a", "secret")
    for file in public.iterdir():
        file.chmod(0o644)
    done = subprocess.run(
        [sys.executable, "-c", AS_ANOTHER, str(db)],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env={"HOME": str(public)},
        timeout=60,
    )
    assert done.stderr == ""
    agent, shared, private, other, write = done.stdout.splitlines()
    assert (agent, shared) == ("uid-54321", "x")
    assert private == "NotFound /memory/private/akashi/a: not found"
    assert other.startswith("Denied uid-54321 may not act as akashi")
    assert write.startswith(f"ReadOnly {db}")
    assert str(public) in write


def test_a_store_that_cannot_be_made_is_a_clear_error(tmp_path: Path):
    (tmp_path / "file").write_text("x")
    with AVM(db=tmp_path / "file" / "avm.db") as memory:
        with pytest.raises(ReadOnly, match="cannot be made"):
            memory.write("/memory/a", "x")
        assert not memory.exists("/memory/a")
