"""A store that another account may only read: its directory cannot be written, or its mount is read-only.

Agents in sandboxes live like this. The owner (root here) writes and opens the modes of the store
explicitly; somebody else, with another uid and no groups, reads and searches it through the command
line. The store has been closed cleanly, or a process still has it open and goes on writing.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.root

OTHER = os.environ.get("AVM_TEST_OTHER_USER", "avmother")
NOTE = "/memory/shared/lesson.md"
TEXT = "Never risk more than two percent on a single trade: the quokka rule.\n"
SECRET = "/memory/private/root/plan.md"
HIDDEN = "The nebula plan.\n"

OK, NOT_FOUND, DENIED, NO_HITS, READ_ONLY = 0, 3, 4, 6, 9

# Writes what it is told on stdin, a line each, and keeps the store open until stdin ends.
WRITER = f"""
import sys
from avm import AVM
with AVM(db=sys.argv[1]) as memory:
    for line in sys.stdin:
        memory.append({NOTE!r}, line)
        print("written", flush=True)
"""


@dataclass(frozen=True)
class Done:
    """How a command of the other user, or of the owner, ended."""

    code: int
    out: str
    err: str


def _run(command: list[str], home: Path) -> Done:
    path = os.environ.get("PATH", os.defpath)
    environment = {"HOME": str(home), "PATH": path, "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        command,
        cwd="/",
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return Done(done.returncode, done.stdout, done.stderr)


@dataclass(frozen=True)
class World:
    """Two users with a home each, and what they do on the command line."""

    homes: dict[str, Path]

    def owner(self, database: Path, *arguments: str) -> Done:
        return _run([sys.executable, "-m", "avm", "--db", str(database), *arguments], self.homes["owner"])

    def other(self, database: Path, *arguments: str) -> Done:
        return self.as_other(sys.executable, "-m", "avm", "--db", str(database), *arguments)

    def as_other(self, *command: str) -> Done:
        entry = pwd.getpwnam(OTHER)
        # `env` in between: setpriv's own exec still has root's capabilities, that of `env` has none.
        drop = ["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups", "env"]
        return _run([*drop, *command], self.homes["other"])


@pytest.fixture
def place() -> Iterator[Path]:
    """An empty directory that every user may enter; pytest's own are closed to others."""
    directory = Path(tempfile.mkdtemp(prefix="avm-second-user-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def world(place: Path) -> World:
    assert os.geteuid() == 0, "these tests act as two users: run them as root, with `make test-root`"
    try:
        entry = pwd.getpwnam(OTHER)
    except KeyError:
        pytest.fail(f"there is no user {OTHER}: `useradd {OTHER}`, or name one in AVM_TEST_OTHER_USER")
    homes = {name: place / name for name in ("owner", "other")}
    for home in homes.values():
        home.mkdir(mode=0o700)
    os.chown(homes["other"], entry.pw_uid, entry.pw_gid)
    world = World(homes)
    able = world.as_other(sys.executable, "-c", "import avm, apsw, click")
    if able.code != 0:
        pytest.fail(
            f"{OTHER} cannot run {sys.executable} with AVM in it, so these tests can show nothing: make the "
            f"environment from a Python, and in a directory, that every user may read. {able.err.strip()}"
        )
    return world


@pytest.fixture
def store(place: Path, world: World) -> Path:
    """A database with a shared and a private note, indexed and closed cleanly, with the modes AVM gave it."""
    database = place / "store" / "avm.db"
    for path, text in ((NOTE, TEXT), (SECRET, HIDDEN)):
        wrote = world.owner(database, "write", path, "--content", text)
        assert wrote.code == OK, wrote.err
    _index(world, database, "quokka")
    return database


def _index(world: World, database: Path, word: str) -> None:
    """Searching catches the index up; who cannot write relies on somebody else having done so."""
    found = world.owner(database, "search", word)
    assert found.code == OK, found.err


class Writer:
    """A process that has the store open, and writes when told."""

    def __init__(self, database: Path) -> None:
        command = [sys.executable, "-c", WRITER, str(database)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def append(self, line: str) -> None:
        """Append a line to the note; it is committed when this returns."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "written\n"


@pytest.fixture
def writer(store: Path) -> Iterator[Writer]:
    writer = Writer(store)
    try:
        writer.append("The writer is there.")
        yield writer
    finally:
        writer.process.communicate(timeout=30)
    assert writer.process.returncode == 0


@pytest.fixture(params=["closed cleanly", "with a live writer"])
def opened(request: pytest.FixtureRequest, store: Path) -> Path:
    """The store in one of its two states, its modes opened to everybody's reading."""
    if request.param == "with a live writer":
        request.getfixturevalue("writer")
    _open_modes(store)
    return store


def _open_modes(database: Path) -> None:
    database.parent.chmod(0o755)
    for file in database.parent.iterdir():
        file.chmod(0o755 if file.is_dir() else 0o644)


@pytest.fixture
def mounted(place: Path) -> Iterator[Path]:
    """The path of the database through a read-only bind mount of its directory."""
    directory = place / "mounted"
    directory.mkdir()
    subprocess.run(["mount", "--bind", place / "store", directory], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", directory], check=True)
        yield directory / "avm.db"
    finally:
        subprocess.run(["umount", directory], check=True)


@pytest.fixture(params=["a directory without write permission", "a read-only mount"])
def shown(request: pytest.FixtureRequest, opened: Path) -> Path:
    """The database as the other user gets to see it."""
    if request.param == "a read-only mount":
        return Path(request.getfixturevalue("mounted"))
    return opened


# --- in every state, from both places ------------------------------------------------------------


def test_another_user_reads(world: World, shown: Path) -> None:
    read = world.other(shown, "read", NOTE)
    assert read.code == OK, read.err
    assert read.out.startswith(TEXT)


def test_another_user_searches(world: World, shown: Path) -> None:
    found = world.other(shown, "search", "quokka")
    assert found.code == OK, found.err
    assert NOTE in found.out
    assert world.other(shown, "search", "wombat").code == NO_HITS


def test_open_modes_do_not_open_private_spaces(world: World, shown: Path) -> None:
    hidden, missing = world.other(shown, "read", SECRET), world.other(shown, "read", SECRET + "x")
    assert (hidden.code, hidden.out) == (NOT_FOUND, "")
    assert hidden == Done(missing.code, missing.out, missing.err.replace(SECRET + "x", SECRET))
    assert world.other(shown, "search", "nebula").code == NO_HITS


def test_a_refused_write_names_the_directory_and_changes_nothing(world: World, shown: Path) -> None:
    before = world.other(shown, "read", NOTE)
    for command in (("write", NOTE, "--content", "x"), ("append", NOTE, "--content", "x"), ("rm", NOTE)):
        refused = world.other(shown, *command)
        assert (refused.code, refused.out) == (READ_ONLY, ""), refused.err
        assert str(shown.parent) in refused.err
    assert world.other(shown, "read", NOTE) == before


def test_another_uid_may_not_take_the_owners_name(world: World, shown: Path) -> None:
    taken = world.other(shown, "--agent", "root", "read", SECRET)
    assert (taken.code, taken.out) == (DENIED, "")


# --- in one state --------------------------------------------------------------------------------


@pytest.mark.parametrize("through", ["a directory without write permission", "a read-only mount"])
def test_what_a_live_writer_adds_is_read_and_found(
    request: pytest.FixtureRequest, world: World, store: Path, writer: Writer, through: str
) -> None:
    _open_modes(store)
    shown = request.getfixturevalue("mounted") if through == "a read-only mount" else store
    for word in ("numbat", "bilby"):
        writer.append(f"The {word} came later.")
        assert f"The {word} came later." in world.other(shown, "read", NOTE).out
        _index(world, store, word)
        assert NOTE in world.other(shown, "search", word).out


def test_the_owner_on_a_read_only_mount_reads_and_is_refused_writes(
    world: World, opened: Path, mounted: Path
) -> None:
    assert world.owner(mounted, "read", NOTE).out.startswith(TEXT)
    assert NOTE in world.owner(mounted, "search", "quokka").out
    assert world.owner(mounted, "write", NOTE, "--content", "x").code == READ_ONLY
    assert world.owner(opened, "read", NOTE).out.startswith(TEXT)


def test_a_store_as_avm_makes_it_is_closed_to_other_users(world: World, store: Path) -> None:
    assert store.parent.stat().st_mode & 0o777 == 0o700
    files = [file for file in store.parent.iterdir() if file.is_file()]
    assert [file.name for file in files if file.stat().st_mode & 0o077] == []
    for command in (("read", NOTE), ("search", "quokka"), ("ls", "/memory/shared")):
        refused = world.other(store, *command)
        assert refused.code not in (OK, NO_HITS)
        assert refused.out == ""
        assert "Traceback" not in refused.err
