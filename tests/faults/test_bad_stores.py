"""Stores that are not what they should be: each ends in a clear error, with the data as it was.

A foreign, damaged, newer or unreadable database; a full disk; side files that are damaged, gone or may not
be written; a writer that is killed. And content that is large, binary or empty, which is nothing bad.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from avm import AVM
from vfs_core.errors import (
    CorruptStore,
    ForeignStore,
    NewerStore,
    NoSpace,
    NotFound,
    StoreError,
    VfsError,
)
from vfs_core.kernel import Kernel

SCENARIOS = Path(__file__).with_name("scenarios.py")
NOBODY = 65534
NOTE = "/memory/shared/note.md"


def _contents(directory: Path) -> dict[str, bytes]:
    """Every file below a directory, by name; without what SQLite needs to look into a database in WAL mode."""
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).digest()
        for path in directory.rglob("*")
        if path.is_file() and not path.name.endswith(("-wal", "-shm"))
    }


def _levels(db: Path) -> set[str]:
    with Kernel(None, db) as kernel:
        return {finding.level for finding in kernel.store.verify()}


def _flush(db: Path) -> None:
    """Bring everything from the WAL into the file, as it is after a while of use; drop the WAL."""
    connection = apsw.Connection(str(db))
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    assert not Path(f"{db}-wal").exists() or Path(f"{db}-wal").stat().st_size == 0


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """A store with notes of several sizes, some of them changed, moved and linked; closed."""
    path = tmp_path / "store" / "avm.db"
    with AVM(db=path, agent="owner") as memory:
        for number in range(60):
            memory.write(f"/memory/shared/of/{number:02}.md", f"note {number} " * (20 * number + 1))
        for number in range(0, 60, 3):
            memory.write(
                f"/memory/shared/of/{number:02}.md", f"changed {number}", meta={"tags": ["odd", "x"]}
            )
        memory.write("/memory/shared/large.bin", random.Random(1).randbytes(200_000))
        memory.write(NOTE, "as it was")
        memory.link(NOTE, "/memory/shared/of/01.md")
        memory.share(NOTE, "other", "r")
        memory.search("note")
    _flush(path)
    return path


# --- the wrong file ------------------------------------------------------------------------------


def _text(path: Path) -> None:
    path.write_text("# Not a database, but my diary\n" * 500)


def _short_text(path: Path) -> None:
    path.write_text("one line\n")


def _other_database(path: Path) -> None:
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE diary (day TEXT); INSERT INTO diary VALUES ('today')")
    connection.close()


def _other_wal_database(path: Path) -> None:
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA journal_mode = WAL").fetchall()
    connection.execute("CREATE TABLE diary (day TEXT)")
    connection.close()


def _marked_as_ours(path: Path) -> None:
    """Somebody else's tables, somebody's joke of an application id."""
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE diary (day TEXT); PRAGMA application_id = 7")
    connection.close()


FOREIGN = [_text, _short_text, _other_database, _other_wal_database, _marked_as_ours]


@pytest.mark.parametrize("make", FOREIGN, ids=lambda make: make.__name__[1:])
def test_a_file_that_is_not_a_store_is_left_alone(tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = tmp_path / "mine.db"
    make(path)
    before = _contents(tmp_path)
    with Kernel(None, path) as kernel:
        session = kernel.session("owner")
        for operate in (
            lambda: session.read(NOTE),
            lambda: session.write(NOTE, "x"),
            lambda: session.search("x"),
            lambda: session.list("/"),
        ):
            with pytest.raises(
                ForeignStore, match=r"mine\.db is (an SQLite database but )?not an AVM store.*--db"
            ):
                operate()
    assert _contents(tmp_path) == before


def test_a_store_of_a_newer_version_is_left_alone(db: Path) -> None:
    connection = apsw.Connection(str(db))
    connection.execute("PRAGMA user_version = 4711")
    connection.close()
    _flush(db)
    before = _contents(db.parent)
    with Kernel(None, db) as kernel:
        session = kernel.session("owner")
        with pytest.raises(NewerStore, match=r"newer AVM.*4711.*upgrade"):
            session.read(NOTE)
        with pytest.raises(NewerStore, match="newer AVM"):
            session.write(NOTE, "x")
    assert _contents(db.parent) == before


def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    """That is what a process leaves that is killed between making the file and its tables."""
    path = tmp_path / "avm.db"
    path.touch()
    with AVM(db=path, agent="owner") as memory:
        with pytest.raises(NotFound):
            memory.read(NOTE)
        memory.write(NOTE, "first")
        assert memory.read(NOTE).text == "first"


def test_a_directory_is_no_store(tmp_path: Path) -> None:
    path = tmp_path / "avm.db"
    path.mkdir()
    (path / "file").write_text("something")
    with Kernel(None, path) as kernel:
        session = kernel.session("owner")
        for operate in (lambda: session.read(NOTE), lambda: session.write(NOTE, "x")):
            with pytest.raises(StoreError, match=r"avm\.db is a directory"):
                operate()
    assert [each.relative_to(tmp_path) for each in tmp_path.rglob("*")] == [
        Path("avm.db"),
        Path("avm.db/file"),
    ]


@pytest.mark.parametrize("parent", ["file", "file/deeper"])
def test_a_store_below_a_file_cannot_be_made(tmp_path: Path, parent: str) -> None:
    (tmp_path / "file").write_text("something")
    with Kernel(None, tmp_path / parent / "avm.db") as kernel:
        session = kernel.session()
        with pytest.raises(VfsError, match="cannot be made"):
            session.write(NOTE, "x")
        with pytest.raises(VfsError):
            session.read(NOTE)


# --- damage --------------------------------------------------------------------------------------


def _truncate_half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _truncate_odd(path: Path) -> None:
    os.truncate(path, 4096 + 777)


def _zero_schema(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(100)
        file.write(bytes(3996))


def _garbage_inside(path: Path) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        for page in range(4096, size, 4096):
            file.seek(page)
            file.write(random.Random(page).randbytes(600))


@pytest.mark.parametrize(
    "damage",
    [_truncate_half, _truncate_odd, _zero_schema, _garbage_inside],
    ids=lambda each: each.__name__[1:],
)
def test_a_damaged_store_says_so_and_is_not_made_worse(db: Path, damage: Callable[[Path], None]) -> None:
    backup = db.with_suffix(".backup")
    shutil.copyfile(db, backup)
    damage(db)
    with Kernel(None, db) as kernel:
        session = kernel.session("owner")
        told: list[VfsError] = []
        for operate in (
            lambda: session.read(NOTE),
            lambda: session.write(NOTE, "x" * 9000),
            lambda: [session.read(entry.path) for entry in session.list("/memory/shared/of")],
        ):
            try:
                operate()
            except VfsError as error:
                told.append(error)
        assert any(isinstance(error, CorruptStore) for error in told), told
        assert all("damaged" in str(error) and "avm doctor" in str(error) for error in told), told
    _doctor_fails(db)
    for ending in ("-wal", "-shm"):
        Path(f"{db}{ending}").unlink(missing_ok=True)
    shutil.copyfile(backup, db)
    with Kernel(None, db) as kernel:
        assert kernel.session("owner").read(NOTE).text == "as it was"
    assert _levels(db) == {"ok"}


def _doctor_fails(db: Path) -> None:
    """`verify` yields a finding that says fail, or opening says what is wrong; nothing else is raised."""
    with Kernel(None, db) as kernel:
        try:
            levels = {finding.level for finding in kernel.store.verify()}
        except VfsError:
            return
        assert "fail" in levels


def test_whatever_byte_is_damaged_only_our_errors_are_raised(db: Path, tmp_path: Path) -> None:
    """Random places of the file, again and again: an answer, or a VfsError."""
    generator = random.Random(2)
    whole = db.read_bytes()
    wrong: set[str] = set()
    for number in range(80):
        directory = tmp_path / f"damaged-{number}"
        directory.mkdir()
        broken = bytearray(whole)
        for _ in range(generator.choice((1, 3, 20))):
            start = generator.randrange(100, len(whole) - 64)
            length = generator.choice((1, 4, 60))
            broken[start : start + length] = generator.randbytes(length)
        (directory / "avm.db").write_bytes(broken)
        wrong |= {f"{error!r} (round {number})" for error in _try_everything(directory / "avm.db")}
        shutil.rmtree(directory)
    assert not wrong, "\n".join(sorted(wrong))


def _try_everything(path: Path) -> list[BaseException]:
    """What is raised that is no VfsError."""
    wrong: list[BaseException] = []
    kernel = Kernel(None, path)
    try:
        session = kernel.session("owner")
        stranger = kernel.session("other")
        for operate in (
            lambda: session.read(NOTE),
            lambda: stranger.read(NOTE),
            lambda: [session.read(entry.path) for entry in session.list("/memory/shared/of")],
            lambda: session.read("/memory/shared/large.bin"),
            lambda: session.write("/memory/shared/of/03.md", "again"),
            lambda: session.append("/memory/shared/large.bin", b"more"),
            lambda: session.rename("/memory/shared/of", "/memory/shared/away"),
            lambda: session.links(NOTE),
            lambda: session.tag_counts(),
            lambda: session.search("changed"),
            lambda: session.delete(NOTE),
            lambda: list(kernel.store.verify()),
        ):
            try:
                operate()
            except VfsError:
                pass
            except BaseException as error:
                wrong.append(error)
    finally:
        kernel.close()
    return wrong


# --- a full disk ---------------------------------------------------------------------------------


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """An empty directory on a disk of a few MiB."""
    place = os.environ.get("AVM_TEST_SMALL_DISK")
    if not place:
        pytest.skip("set AVM_TEST_SMALL_DISK to a small disk: mount -t tmpfs -o size=8m tmpfs /tmp/small")
    directory = Path(tempfile.mkdtemp(dir=place))
    yield directory
    shutil.rmtree(directory)


def _fill_up(directory: Path) -> Path:
    filler = directory / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    return filler


def test_a_full_disk_loses_nothing_and_is_told(small_disk: Path) -> None:
    path = small_disk / "avm.db"
    with AVM(db=path, agent="owner") as memory:
        written = []
        with pytest.raises(NoSpace, match=r"no space left.*avm\.db.*rolled back"):
            for number in range(1000):
                memory.write(f"/memory/shared/{number}.bin", random.Random(number).randbytes(50_000))
                written.append(number)
        assert len(written) > 10
        for number in written:
            assert memory.read(f"/memory/shared/{number}.bin").data == random.Random(number).randbytes(50_000)
        with pytest.raises(NotFound):
            memory.read(f"/memory/shared/{len(written)}.bin")
        with pytest.raises(NoSpace):
            memory.write("/memory/shared/more.bin", bytes(2_000_000))
        assert {finding.level for finding in memory.session.store.verify()} == {"ok"}
    assert _levels(path) == {"ok"}


def test_a_disk_that_has_space_again_can_be_written_again(small_disk: Path) -> None:
    path = small_disk / "avm.db"
    with AVM(db=path, agent="owner") as memory:
        memory.write(NOTE, "as it was")
        filler = _fill_up(small_disk)
        with pytest.raises(NoSpace):
            for number in range(1000):
                memory.write(f"/memory/shared/{number}.md", "x" * 10_000)
        assert memory.read(NOTE).text == "as it was"
        filler.unlink()
        memory.write(NOTE, "and on it goes")
        assert memory.read(NOTE).text == "and on it goes"
        assert [hit.path for hit in memory.search("goes")] == [NOTE]
    assert _levels(path) == {"ok"}


def test_a_store_is_neither_made_nor_spoilt_on_a_full_disk(small_disk: Path) -> None:
    filler = _fill_up(small_disk)
    path = small_disk / "avm.db"
    with AVM(db=path, agent="owner") as memory, pytest.raises((NoSpace, StoreError)):
        memory.write(NOTE, "x")
    filler.unlink()
    with AVM(db=path, agent="owner") as memory:
        memory.write(NOTE, "x")
        assert memory.read(NOTE).text == "x"
    assert _levels(path) == {"ok"}


def test_without_space_for_the_side_files_one_can_still_read(small_disk: Path) -> None:
    path = small_disk / "avm.db"
    with AVM(db=path, agent="owner") as memory:
        memory.write(NOTE, "as it was")
    for side in small_disk.iterdir():
        if side.name not in ("avm.db", "avm.db-wal", "avm.db-shm"):
            side.unlink()
    filler = _fill_up(small_disk)
    with AVM(db=path, agent="owner") as memory:
        assert memory.read(NOTE).text == "as it was"
        found = memory.search("was")
        assert (list(found), found.behind > 0) == ([], True)  # nothing is indexed here, and that is told
        with pytest.raises(NoSpace, match=r"no space left for .*avm\.bell.*retry"):
            memory.write(NOTE, "lost")
        assert memory.read(NOTE).text == "as it was"
        filler.unlink()
        memory.write(NOTE, "new")  # the same process goes on as soon as there is space
        assert memory.read(NOTE).text == "new"
        found = memory.search("new")
        assert ([hit.path for hit in found], found.behind) == ([NOTE], 0)
    assert _levels(path) == {"ok"}


def test_a_search_that_has_no_space_for_its_index_says_so(small_disk: Path) -> None:
    with AVM(db=small_disk / "avm.db", agent="owner") as memory:
        memory.write(NOTE, "as it was")
        filler = _fill_up(small_disk)
        with pytest.raises(NoSpace, match=r"avm\.index\.db cannot grow.*free some space"):
            memory.search("was")
        filler.unlink()
        assert [hit.path for hit in memory.search("was")] == [NOTE]


# --- side files ----------------------------------------------------------------------------------


def _gone(path: Path) -> None:
    path.unlink()


def _emptied(path: Path) -> None:
    os.truncate(path, 0)


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _random(path: Path) -> None:
    path.write_bytes(random.Random(3).randbytes(path.stat().st_size))


def _other(path: Path) -> None:
    path.unlink()
    _other_database(path)


def _zeros_inside(path: Path) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 3)
        file.write(bytes(size // 3))


SPOIL = [_gone, _emptied, _cut, _random, _other, _zeros_inside]


@pytest.mark.parametrize("spoil", SPOIL, ids=lambda each: each.__name__[1:])
def test_a_spoilt_index_is_made_anew(db: Path, spoil: Callable[[Path], None]) -> None:
    index = db.with_name("avm.index.db")
    _flush(index)
    spoil(index)
    with AVM(db=db, agent="owner") as memory:
        assert memory.read(NOTE).text == "as it was"
        hits: list[str] = []
        for _ in range(3):  # damage inside may show, and be told, before it is mended
            try:
                hits = [hit.path for hit in memory.search("changed", limit=100)]
                break
            except CorruptStore as error:
                assert "makes it anew" in str(error)
        assert len(hits) == 20
        memory.write("/memory/shared/new.md", "quokka")
        assert [hit.path for hit in memory.search("quokka")] == ["/memory/shared/new.md"]
    assert _levels(db) == {"ok"}


def test_an_index_that_is_removed_under_an_open_memory_is_made_anew(db: Path) -> None:
    with AVM(db=db, agent="owner") as memory:
        assert len(memory.search("changed", limit=100)) == 20
        for path in db.parent.glob("avm.index.db*"):
            path.unlink()
        memory.write("/memory/shared/new.md", "quokka")
        assert [hit.path for hit in memory.search("quokka")] == ["/memory/shared/new.md"]
        assert len(memory.search("changed", limit=100)) == 20


@pytest.mark.parametrize("spoil", [_gone, _emptied, _cut, _random], ids=lambda each: each.__name__[1:])
def test_a_spoilt_bell_is_taken_over(db: Path, spoil: Callable[[Path], None]) -> None:
    spoil(db.with_name("avm.bell"))
    with AVM(db=db, agent="owner") as memory, AVM(db=db, agent="other") as second:
        assert memory.read(NOTE).text == second.read(NOTE).text == "as it was"
        for number in range(5):
            memory.write(NOTE, f"by one {number}")
            assert second.read(NOTE).text == f"by one {number}"
            second.write("/memory/shared/of/01.md", f"by another {number}")
            assert memory.read("/memory/shared/of/01.md").text == f"by another {number}"
        assert [hit.path for hit in second.search("one")] == [NOTE]
        bell = memory.session.store.bell
        assert max(bell.words[4:6]) <= memory.session.store.head().sequence
    assert _levels(db) == {"ok"}


def test_a_directory_in_the_place_of_the_bell_makes_all_reads_cold(db: Path) -> None:
    bell = db.with_name("avm.bell")
    bell.unlink()
    bell.mkdir()
    with AVM(db=db, agent="owner") as memory, AVM(db=db, agent="other") as second:
        assert second.read(NOTE).text == "as it was"
        try:
            memory.write(NOTE, "changed")
        except VfsError as error:
            assert "avm.bell" in str(error)
            assert second.read(NOTE).text == "as it was"
        else:
            assert second.read(NOTE).text == "changed"
    assert _levels(db) == {"ok"}


# --- as an ordinary user -------------------------------------------------------------------------


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that the ordinary user owns."""
    directory = Path(tempfile.mkdtemp())
    if os.geteuid() == 0:
        os.chown(directory, NOBODY, NOBODY)
    yield directory
    directory.chmod(0o700)
    shutil.rmtree(directory)


def _as_ordinary_user(name: str, **arguments: Any) -> Any:
    done = subprocess.run(
        [sys.executable, str(SCENARIOS), name, json.dumps(arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "HOME": str(arguments["directory"])},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_file_that_may_not_be_read(place: Path) -> None:
    errors, text = _as_ordinary_user("unreadable", directory=str(place))
    for kind, message in errors:
        assert kind in ("StoreError", "ReadOnly")
        assert "avm.db" in message and "read" in message
    assert text == "as it was"


def test_a_place_that_may_not_be_written_can_be_read_and_searched(place: Path) -> None:
    told = _as_ordinary_user("unwritable", directory=str(place))
    assert told["seen"] == ["as it was", [NOTE]]
    assert told["error"][0] == "ReadOnly"
    assert str(place) in told["error"][1] and "writable" in told["error"][1]
    assert set(told["levels"]) == {"ok"}
    assert told["after"] == "as it was"


def test_a_store_cannot_be_made_where_nothing_may_be_written(place: Path) -> None:
    errors, files = _as_ordinary_user("nowhere", directory=str(place))
    for write, read in zip(errors[::2], errors[1::2], strict=True):
        assert write[0] == "ReadOnly" and "writable" in write[1] and str(place) in write[1]
        assert read[0] == "NotFound"
    assert files == []


@pytest.mark.parametrize("ending", [".bell", ".lock", ".index.db", ".words.lease", ".db-wal"])
def test_a_side_file_that_may_not_be_written(place: Path, ending: str) -> None:
    """Either the write goes through and everybody sees it, or it is refused and names what is in the way."""
    told = _as_ordinary_user("side_file_unwritable", directory=str(place), ending=ending)
    *writes, search = told["told"]
    for error in (*writes, search):
        assert not error or f"avm{ending.replace('-wal', '')}" in error[1], error
    assert told["expected"] == ("as it was" if all(writes) else "changed")
    assert told["read"] == told["expected"]
    assert not told["again"]  # the same process goes on as soon as it may
    assert set(told["levels"]) == {"ok"}
    assert told["after"] == ["/memory/shared/after.md"]


# --- killed --------------------------------------------------------------------------------------


def test_a_writer_that_is_killed_leaves_what_was_acknowledged(tmp_path: Path) -> None:
    db = tmp_path / "avm.db"
    generator = random.Random(11)
    for me in range(20):
        command = [sys.executable, str(SCENARIOS), "write_until_killed"]
        arguments = json.dumps({"db": str(db), "me": me})
        with subprocess.Popen([*command, arguments], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            lines = [process.stdout.readline()]
            pause = generator.random() * 0.15
            try:
                process.wait(pause)
            except subprocess.TimeoutExpired:
                process.kill()
            lines += process.stdout.readlines()
        assert process.returncode == -9, "it ended by itself"
        acknowledged = [json.loads(line) for line in lines if line.endswith("\n")]
        assert acknowledged
        _all_there(db, me, acknowledged)
    assert _levels(db) == {"ok"}


def _all_there(db: Path, me: int, acknowledged: list[Any]) -> None:
    with AVM(db=db, agent="owner") as memory:
        appended = [number for what, _, _, number in acknowledged if what == "append"]
        many = [number for what, _, _, number in acknowledged if what == "many"]
        moved = {number for what, _, _, number in acknowledged if what == "rename"}
        for what, path, sequence, number in acknowledged:
            if what == "write":
                last = number == max(each[3] for each in acknowledged)
                for candidate in (
                    [path + ".moved"] if number in moved else [path, path + ".moved"] if last else [path]
                ):
                    if memory.exists(candidate):
                        assert memory.read(candidate).text == f"{me} {number}\n" + "x" * (number % 40_000)
                        break
                else:
                    raise AssertionError(f"{path}, acknowledged at {sequence}, is gone")
        if appended:
            log = [int(line) for line in memory.read(f"/memory/shared/log-{me}.md").text.splitlines()]
            assert log[: len(appended)] == appended
            assert len(log) <= len(appended) + 1
        if many:
            numbers = {memory.read(f"/memory/shared/many-{me}/{i}.md").text for i in range(30)}
            assert len(numbers) == 1, "a transaction survived in part"
            assert int(numbers.pop()) >= many[-1]
        assert memory.session.store.head().sequence >= max(each[2] for each in acknowledged)


# --- content -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\0", id="NUL"),
        pytest.param(bytes(range(256)) * 3, id="every byte"),
        pytest.param(b"\xff\xfe not text \x80", id="not UTF-8"),
        pytest.param(bytes(16 * 1024), id="one chunk"),
        pytest.param(bytes(16 * 1024 + 1), id="one chunk and a byte"),
        pytest.param("紧张局势🦘".encode() * 9000, id="wide text"),
    ],
)
def test_content_is_bytes(tmp_path: Path, content: bytes) -> None:
    with AVM(db=tmp_path / "avm.db", agent="owner") as memory:
        memory.write(NOTE, content)
        memory.append("/memory/shared/log.bin", content)
        memory.append("/memory/shared/log.bin", content)
        memory.write("/memory/shared/text.md", "quokka")
        assert [hit.path for hit in memory.search("quokka")] == ["/memory/shared/text.md"]
    with AVM(db=tmp_path / "avm.db", agent="owner") as memory:
        assert memory.read(NOTE).data == content
        assert memory.stat(NOTE).size == len(content)
        assert memory.read("/memory/shared/log.bin").data == content * 2
    assert _levels(tmp_path / "avm.db") == {"ok"}


def test_twenty_megabytes(tmp_path: Path) -> None:
    path = "/memory/shared/huge.bin"
    first = random.Random(5).randbytes(20 << 20)
    second = first[: 7 << 20] + b"in the middle" + first[(7 << 20) + 13 :]
    with AVM(db=tmp_path / "avm.db", agent="owner") as memory:
        node = memory.write(path, first)
        memory.write(path, second)
        memory.append(path, b"the end")
        memory.write(path, "small again")
        memory.write(path, second)
        store, id = memory.session.store, memory.stat(path).id
        assert memory.read(path).data == second
        expected = [first, second, second + b"the end", b"small again", second]
        for version, content in enumerate(expected, start=node.version):
            assert store.version_content(id, version) == content
        memory.search("quokka")
    # Versions share their chunks: the two edits, and the way there and back, cost two copies and not five.
    assert sum(each.stat().st_size for each in tmp_path.glob("avm.db")) < 3.2 * len(first)
    assert _levels(tmp_path / "avm.db") == {"ok"}
