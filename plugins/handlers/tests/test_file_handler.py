"""The `file` handler keeps the handler contract and does with files what one expects; the jail has its own tests."""

import errno
import json
import os
import re
import socket
import stat as bits
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import yaml

import avm_schemas
from avm_handlers.file import ABANDONED, FileHandler
from vfs_core.config import Config, PermissionRule, ProviderRule
from vfs_core.config_text import Template
from vfs_core.errors import (
    CrossHandler,
    Denied,
    Exists,
    InUse,
    Invalid,
    IsADirectory,
    NotADirectory,
    NotEmpty,
    NotFound,
    ReadOnly,
    TimedOut,
    TooLarge,
    Unsupported,
    VfsError,
)
from vfs_core.handler import BaseHandler, Context
from vfs_core.kernel import Kernel
from vfs_core.session import Session
from vfs_core.testing import HandlerTests
from vfs_core.testing.handlers import PRINCIPAL, names_of
from vfs_core.types import Kind

SESSION = cast("Session", SimpleNamespace(kernel=SimpleNamespace(location="/no/store/avm.db")))
"""All that the handler asks of a session is where its store is."""


def asked(path: str, **more: object) -> Context:
    """The context of a request for `/path` of the pattern `/**`."""
    return Context(PRINCIPAL, SESSION, relative=path.lstrip("/"), **more)  # type: ignore[arg-type]


FILE_SCHEMA = json.loads((Path(avm_schemas.__file__).parent / "handlers" / "file.schema.json").read_text())


class Disk:
    """A handler and the directory behind it, asked by paths."""

    def __init__(self, root: Path, **config: object) -> None:
        self.root = root
        self.handler = FileHandler({"root": str(root), "writable": True, **config})

    def read(self, path: str, **more: object) -> bytes | None:
        node = self.handler.read(path, asked(path, **more))
        return None if node is None else node.data

    def write(self, path: str, data: bytes) -> None:
        self.handler.write(path, data, asked(path))

    def append(self, path: str, data: bytes) -> None:
        self.handler.append(path, data, asked(path))

    def delete(self, path: str) -> None:
        self.handler.delete(path, asked(path))

    def rename(self, old: str, new: str) -> None:
        self.handler.rename(old, new, asked(old))

    def list(self, path: str) -> list[str]:
        return sorted(names_of(self.handler.list(path, asked(path))))

    def stat(self, path: str):
        return self.handler.stat(path, asked(path))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    return root


@pytest.fixture
def disk(root: Path) -> Disk:
    return Disk(root)


class TestFileHandler(HandlerTests):
    @pytest.fixture
    def handler(self, root: Path) -> BaseHandler:
        (root / "dir").mkdir()
        (root / "dir" / "here.md").write_bytes(b"teddy\0\xff")
        return FileHandler({"root": str(root), "writable": True})

    @pytest.fixture
    def present(self) -> tuple[str, bytes]:
        return "/dir/here.md", b"teddy\0\xff"

    @pytest.fixture
    def absent(self) -> str:
        return "/dir/absent.md"

    @pytest.fixture
    def make_context(self) -> Callable[[str], Context]:
        return asked


# --- reading -------------------------------------------------------------------------------------


def test_a_stat_is_that_of_the_file(disk: Disk):
    file = disk.root / "a"
    file.write_bytes(b"12345")
    file.chmod(0o4640)
    os.utime(file, ns=(1_500_000_000_000_000_001, 1_600_000_000_000_000_003))
    stat = disk.stat("/a")
    real = file.stat()
    assert (stat.kind, stat.size, stat.mode) == (Kind.FILE, 5, 0o640)
    assert (stat.modified_ns, stat.accessed_ns) == (real.st_mtime_ns, real.st_atime_ns)
    assert (stat.changed_ns, stat.uid, stat.gid, stat.links) == (
        real.st_ctime_ns,
        real.st_uid,
        real.st_gid,
        1,
    )
    node = disk.handler.read("/a", asked("/a"))
    assert node is not None
    assert node.path == "/a"
    assert node.stat._replace(accessed_ns=0) == disk.stat("/a")._replace(accessed_ns=0)
    assert disk.stat("/").kind is Kind.DIRECTORY
    assert disk.stat("/").size == 0


def test_a_mode_says_that_what_is_not_writable_is_not(root: Path):
    (root / "a").touch(0o644)
    assert Disk(root, writable=False).stat("/a").mode == 0o444
    assert Disk(root, writable=True).stat("/a").mode == 0o644


@pytest.mark.parametrize(
    ("offset", "size", "part"),
    [
        (1 << 40, 3, b""),
        (0, 3, b"012"),
        (4, 3, b"456"),
        (8, 9, b"89"),
        (20, 3, b""),
        (6, None, b"6789"),
        (3, 0, b""),
    ],
)
def test_a_part_is_read_alone(disk: Disk, offset: int, size: int | None, part: bytes):
    (disk.root / "a").write_bytes(b"0123456789")
    assert disk.read("/a", offset=offset, size=size) == part


def test_a_file_over_the_limit_is_refused_and_a_part_of_it_is_read(root: Path):
    disk = Disk(root, max_bytes=10)
    (root / "a").write_bytes(b"0123456789x")
    (root / "b").write_bytes(b"0123456789")
    with pytest.raises(TooLarge, match=r"^/a: 11 bytes are over the 10 of config\.max_bytes"):
        disk.read("/a")
    assert disk.read("/b") == b"0123456789"
    assert disk.read("/a", offset=1) == b"123456789x"
    assert disk.read("/a", offset=5, size=3) == b"567"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_a_file_that_says_it_is_empty_is_read_to_its_end():
    assert b"Name:" in (Disk(Path("/proc/self")).read("/status") or b"")
    with pytest.raises(TooLarge):
        Disk(Path("/proc/self"), max_bytes=10).read("/status")


def test_a_deadline_ends_a_read(disk: Disk):
    (disk.root / "a").write_bytes(b"x")
    with pytest.raises(TimedOut):
        disk.read("/a", deadline=time.monotonic() - 1)
    with pytest.raises(TimedOut):
        list(disk.handler.list("/", asked("/", deadline=time.monotonic() - 1)))


def test_what_is_no_file_is_not_read_and_what_is_no_directory_not_entered(disk: Disk):
    (disk.root / "dir").mkdir()
    (disk.root / "a").write_bytes(b"x")
    for path in ("/dir", "/"):
        with pytest.raises(IsADirectory):
            disk.read(path)
        with pytest.raises(IsADirectory):
            disk.write(path, b"")
        with pytest.raises(IsADirectory):
            disk.append(path, b"")
    for attempt in (
        lambda: disk.read("/a/b"),
        lambda: disk.list("/a"),
        lambda: disk.write("/a/b", b""),
        lambda: disk.stat("/a/b"),
    ):
        with pytest.raises(NotADirectory):
            attempt()
    with pytest.raises(NotFound, match=r"^/no: not found$"):
        disk.list("/no")


# --- listing -------------------------------------------------------------------------------------


def test_only_what_is_served_is_listed(disk: Disk, tmp_path: Path):
    root = disk.root
    (tmp_path / "outside").mkdir()
    (root / "dir").mkdir()
    for name in ("a.md", ".hidden", "局势.md"):
        (root / name).touch()
    for link, target in (
        ("to-file", "a.md"),
        ("to-dir", "dir"),
        ("dangling", "no"),
        ("loop", "loop"),
        ("out", "../outside"),
        ("null", "/dev/null"),
    ):
        (root / link).symlink_to(target)
    os.mkfifo(root / "fifo")
    assert disk.list("/") == [".hidden", "a.md", "dir/", "to-dir/", "to-file", "局势.md"]
    (root / "dir" / "inner").symlink_to("../a.md")
    assert disk.list("/dir") == disk.list("/to-dir") == ["inner"]


def test_a_name_that_is_not_utf8_is_left_out(disk: Disk):
    try:
        Path(os.fsdecode(os.fsencode(disk.root) + b"/\xff\xfe")).touch()
    except OSError:
        pytest.skip("the file system has no such names")
    assert disk.list("/") == []
    with pytest.raises(Invalid, match="UTF-8"):
        disk.read("/\udcff\udcfe")


def test_a_temporary_file_is_not_served_and_goes_when_it_was_left_behind(disk: Disk):
    young, old = (disk.root / f".avm-{digit * 16}.tmp" for digit in "0f")
    for file in (young, old):
        file.write_bytes(b"half")
    past = time.time() - ABANDONED - 60
    os.utime(old, (past, past))
    for attempt in (disk.stat, disk.read):
        assert attempt(f"/{young.name}") is None
    for change in (
        lambda: disk.write(f"/{young.name}", b""),
        lambda: disk.delete(f"/{young.name}"),
        lambda: disk.rename(f"/{young.name}", "/b"),
    ):
        with pytest.raises(NotFound):
            change()
    assert Disk(disk.root, writable=False).list("/") == []
    assert old.exists(), "who may not write deletes nothing"
    assert disk.list("/") == []
    assert (young.exists(), old.exists()) == (True, False)


# --- writing -------------------------------------------------------------------------------------


def test_it_is_read_only_unless_told(root: Path):
    (root / "a").write_bytes(b"x")
    handler = FileHandler({"root": str(root)})
    for change in (
        lambda: handler.write("/a", b"y", asked("/a")),
        lambda: handler.append("/a", b"y", asked("/a")),
        lambda: handler.delete("/a", asked("/a")),
        lambda: handler.rename("/a", "/b", asked("/a")),
    ):
        with pytest.raises(ReadOnly, match="writable: true"):
            change()
    assert [file.name for file in root.iterdir()] == ["a"]
    assert (root / "a").read_bytes() == b"x"


def test_a_write_makes_missing_directories_and_leaves_nothing_else(disk: Disk):
    disk.write("/one/two/a", b"x")
    disk.append("/one/three/b", b"y")
    disk.write("/one/two/a", b"z")
    assert disk.read("/one/two/a") == b"z"
    assert sorted(str(each.relative_to(disk.root)) for each in disk.root.rglob("*")) == [
        "one",
        "one/three",
        "one/three/b",
        "one/two",
        "one/two/a",
    ]


def test_a_write_keeps_the_mode_and_a_new_file_gets_what_the_umask_leaves(disk: Disk):
    file = disk.root / "a"
    file.touch()
    for mode in (0o600, 0o640, 0o755):
        file.chmod(mode)
        disk.write("/a", b"x")
        assert bits.S_IMODE(file.stat().st_mode) == mode
    (disk.root / "ordinary").touch()
    disk.write("/new", b"x")
    assert (disk.root / "new").stat().st_mode == (disk.root / "ordinary").stat().st_mode


def test_a_write_goes_through_a_symlink_and_keeps_it(disk: Disk):
    (disk.root / "dir").mkdir()
    (disk.root / "link").symlink_to("dir/target")
    disk.write("/link", b"1")
    disk.append("/link", b"2")
    assert (disk.root / "link").is_symlink()
    assert (disk.root / "dir" / "target").read_bytes() == b"12"


def test_a_write_that_fails_leaves_the_old_file_and_no_other(disk: Disk, monkeypatch: pytest.MonkeyPatch):
    (disk.root / "a").write_bytes(b"old")

    def full(_file: int, _data: object) -> int:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(VfsError) as caught:
        disk.write("/a", b"new")
    assert caught.value.errno == errno.ENOSPC
    monkeypatch.undo()
    assert [file.name for file in disk.root.iterdir()] == ["a"]
    assert disk.read("/a") == b"old"


def test_no_reader_sees_half_a_write(disk: Disk):
    """Also one that reads the file itself."""
    bodies = [bytes([number]) * 200_000 for number in range(1, 4)]
    disk.write("/a", bodies[0])
    done = threading.Event()

    def write() -> None:
        for number in range(60):
            disk.write("/a", bodies[number % 3])
        done.set()

    thread = threading.Thread(target=write)
    thread.start()
    seen = set()
    while not done.is_set():
        seen.add((disk.root / "a").read_bytes())
        seen.add(disk.read("/a"))
    thread.join()
    assert seen <= set(bodies)


def test_what_is_over_the_limit_is_not_written(root: Path):
    disk = Disk(root, max_bytes=4)
    disk.write("/a", b"1234")
    for change in (
        lambda: disk.write("/a", b"12345"),
        lambda: disk.append("/a", b"5"),
        lambda: disk.write("/b/c", b"12345"),
        lambda: disk.append("/d/e", b"12345"),
    ):
        with pytest.raises(TooLarge):
            change()
    assert disk.read("/a") == b"1234"
    assert disk.list("/") == ["a"]


def test_deleting_takes_a_link_and_not_its_target(disk: Disk, tmp_path: Path):
    outside = tmp_path / "outside"
    outside.write_bytes(b"x")
    (disk.root / "dir").mkdir()
    (disk.root / "dir" / "a").touch()
    (disk.root / "link").symlink_to("dir")
    (disk.root / "out").symlink_to(outside)
    disk.delete("/link")
    disk.delete("/out")
    assert outside.exists()
    with pytest.raises(NotEmpty, match="/dir"):
        disk.delete("/dir")
    disk.delete("/dir/a")
    disk.delete("/dir")
    assert disk.list("/") == []
    with pytest.raises(InUse):
        disk.delete("/")


def test_renaming_never_overwrites(disk: Disk):
    for name in ("a", "b"):
        disk.write(f"/{name}", name.encode())
    disk.write("/dir/c", b"c")
    (disk.root / "empty").mkdir()
    for old, new in (("/a", "/b"), ("/a", "/dir"), ("/dir", "/a"), ("/dir", "/empty"), ("/a", "/a")):
        with pytest.raises(Exists, match=f"^{new} exists already$"):
            disk.rename(old, new)
    for old, new, error in (
        ("/no", "/d", NotFound),
        ("/a", "/no/d", NotFound),
        ("/dir", "/dir/dir", Invalid),
        ("/", "/d", InUse),
        ("/a", "/", Exists),
        ("/a", "/b/d", NotADirectory),
    ):
        with pytest.raises(error):
            disk.rename(old, new)
    assert (disk.read("/a"), disk.read("/b"), disk.read("/dir/c")) == (b"a", b"b", b"c")


def test_files_directories_and_links_are_moved(disk: Disk):
    disk.write("/dir/a", b"x")
    disk.write("/b", b"y")
    (disk.root / "link").symlink_to("b")
    disk.rename("/dir", "/moved")
    disk.rename("/b", "/moved/b")
    disk.rename("/link", "/link2")
    assert disk.read("/moved/a") == b"x"
    assert disk.read("/moved/b") == b"y"
    assert (disk.root / "link2").readlink() == Path("b")
    assert sorted(file.name for file in disk.root.iterdir()) == ["link2", "moved"]


def test_a_file_is_moved_where_files_have_one_name(disk: Disk, monkeypatch: pytest.MonkeyPatch):
    def no_links(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "no hard links")

    monkeypatch.setattr(os, "link", no_links)
    disk.write("/a", b"x")
    disk.write("/b", b"y")
    with pytest.raises(Exists):
        disk.rename("/a", "/b")
    disk.rename("/a", "/c")
    assert disk.list("/") == ["b", "c"]
    assert disk.read("/c") == b"x"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may do everything")
def test_a_directory_that_may_be_listed_and_not_entered_gives_its_names(disk: Disk):
    (disk.root / "dir" / "sub").mkdir(parents=True)
    (disk.root / "dir" / "file").write_text("text")
    (disk.root / "dir").chmod(0o444)
    try:
        assert disk.list("/dir") == ["file", "sub/"]
    finally:
        (disk.root / "dir").chmod(0o755)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may do everything")
def test_what_the_system_refuses_is_refused(disk: Disk):
    disk.write("/dir/a", b"x")
    (disk.root / "dir" / "a").chmod(0o000)
    for attempt in (lambda: disk.read("/dir/a"), lambda: disk.write("/dir/a", b"y")):
        with pytest.raises(Denied, match=r"^/dir/a: Permission denied"):
            attempt()
    (disk.root / "dir").chmod(0o300)
    with pytest.raises(Denied):
        disk.list("/dir")
    disk.write("/dir/b", b"y")
    assert disk.read("/dir/b") == b"y"
    (disk.root / "dir").chmod(0o700)


# --- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "error"),
    [
        ({}, r"needs config\.root"),
        ({"root": ""}, r"needs config\.root"),
        ({"root": 7}, r"needs config\.root"),
        ({"root": "/a\0b"}, r"needs config\.root"),
        ({"root": "notes"}, "starts with '/' or '~', unlike 'notes'"),
        ({"root": "~nosuchuser/x"}, "starts with '/' or '~'"),
        ({"root": Template("/srv/${name}")}, "names no parameters"),
        ({"root": "/", "path": ""}, r"config\.path"),
        ({"root": "/", "path": 3}, r"config\.path"),
        ({"root": "/", "writable": "yes"}, "true or false, not 'yes'"),
        ({"root": "/", "max_bytes": 0}, "a number of bytes, not 0"),
        ({"root": "/", "max_bytes": True}, "a number of bytes, not True"),
    ],
)
def test_a_setting_that_is_wrong_is_refused(config: dict[str, object], error: str):
    with pytest.raises(Invalid, match=error):
        FileHandler(config)


def test_the_home_directory_is_expanded(root: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(root.parent))
    (root / "a").write_bytes(b"x")
    handler = FileHandler({"root": "~/root"})
    assert handler.read("/a", asked("/a")) is not None


def test_a_root_that_is_not_there_is_named_until_it_is(tmp_path: Path):
    root = tmp_path / "later"
    disk = Disk(root)
    for attempt in (
        lambda: disk.read("/a"),
        lambda: disk.stat("/a"),
        lambda: disk.list("/"),
        lambda: disk.write("/a", b""),
    ):
        with pytest.raises(NotFound, match=f"{root}, is not there; make it"):
            attempt()
    root.write_bytes(b"")
    with pytest.raises(NotADirectory, match=f"{root}, is not a directory"):
        disk.read("/a")
    root.unlink()
    root.mkdir()
    disk.write("/a", b"x")
    assert disk.read("/a") == b"x"


# --- through the kernel --------------------------------------------------------------------------

Open = Callable[..., Session]


@pytest.fixture
def mounted(tmp_path: Path, root: Path) -> Iterator[Open]:
    kernels: list[Kernel] = []

    def open_kernel(pattern: str, access: str = "rw", **config: object) -> Session:
        file = tmp_path / "config.yaml"
        rule = {"pattern": pattern, "handler": "file", "config": {"root": str(root), **config}}
        rules = [{"pattern": "/**", "access": access}]
        file.write_text(yaml.safe_dump({"providers": [rule], "permissions": rules}))
        kernels.append(Kernel(file, tmp_path / "avm.db"))
        return kernels[-1].session("akashi")

    yield open_kernel
    for kernel in kernels:
        kernel.close()


def test_a_tree_is_shown_as_configured(mounted: Open, root: Path):
    session = mounted("/src/**", writable=True)
    (root / "a").write_bytes(b"\0\xff")
    assert session.read("/src/a").data == b"\0\xff"
    session.write("/src/dir/b", "text")
    session.append("/src/dir/b", "+")
    assert (root / "dir" / "b").read_text() == "text+"
    assert [(entry.name, entry.is_directory) for entry in session.list("/src")] == [
        ("a", False),
        ("dir", True),
    ]
    assert [entry.path for entry in session.list("/src/dir")] == ["/src/dir/b"]
    (root / "link").symlink_to("dir/b")
    listed = {entry.name: entry.stat for entry in session.list("/src")}
    assert listed == {name: session.stat(f"/src/{name}") for name in ("a", "dir", "link")}
    assert [listed[name].size for name in ("a", "dir", "link")] == [2, 0, 5]
    assert listed["a"].modified_ns == (root / "a").stat().st_mtime_ns
    assert session.stat("/src/dir").is_directory
    assert session.stat("/src/dir/b").size == 5
    session.rename("/src/dir/b", "/src/c")
    assert session.read("/src/c").text == "text+"
    session.delete("/src/dir")
    with pytest.raises(CrossHandler):
        session.rename("/src/c", "/memory/c")
    assert not session.exists("/src/dir")


def test_a_permission_and_writable_are_both_needed(mounted: Open, root: Path):
    (root / "a").write_bytes(b"x")
    with pytest.raises(Denied):
        mounted("/src/**", "ro", writable=True).write("/src/a", "y")
    with pytest.raises(ReadOnly):
        mounted("/src/**", "rw").write("/src/a", "y")
    assert (root / "a").read_bytes() == b"x"


def test_a_pattern_with_an_ending_shows_such_files(mounted: Open, root: Path):
    session = mounted("/notes/{name}.md", writable=True)
    session.write("/notes/a.md", "x")
    assert (root / "a.md").read_text() == "x"
    assert [entry.name for entry in session.list("/notes")] == ["a.md"]


def test_a_path_says_where_a_name_is(mounted: Open, root: Path):
    session = mounted("/people/{name}/{year}", writable=True, path="${year}/${name}.md")
    session.write("/people/kuro/2026", "x")
    assert (root / "2026" / "kuro.md").read_text() == "x"
    assert session.read("/people/kuro/2026").text == "x"
    assert session.list("/people") == []
    with pytest.raises(Unsupported):
        session.rename("/people/kuro/2026", "/people/kuro/2027")


def test_one_file_is_shown_under_one_name(mounted: Open, root: Path):
    (root / "motd").write_bytes(b"x")
    session = mounted("/motd", path="motd")
    assert session.read("/motd").text == "x"
    assert session.stat("/motd").size == 1


def test_a_path_that_a_parameter_would_lead_out_of_is_refused(mounted: Open, root: Path):
    (root.parent / "secret").write_bytes(b"secret")
    session = mounted("/x/{name}.md", path="${name}/secret")
    for path in ("/x/...md", "/x/..md"):
        with pytest.raises(Invalid, match=r"no '\.\.'"):
            session.read(path)
    handler = FileHandler({"root": str(root), "path": Template("${name}")})
    for value in ("../secret", "/etc/passwd", "a/b", "..", ".", "a\0b"):
        with pytest.raises(Invalid):
            handler.read("/x", Context(PRINCIPAL, SESSION, {"name": value}))


@pytest.mark.parametrize("through", ["root", "a link", "the store's link"])
def test_the_store_itself_is_not_shown(tmp_path: Path, through: str):
    """It holds others' notes, and closing its file would lose SQLite's locks on it."""
    (tmp_path / "real").mkdir()
    store = tmp_path / "real" / "avm.db"
    (tmp_path / "to-real").symlink_to("real")
    location = tmp_path / "to-real" / "avm.db" if through == "the store's link" else store
    below = "to-real" if through == "a link" else "real"
    rule = ProviderRule("/disk/**", "file", {"root": str(tmp_path), "writable": True})
    config = Config(providers=(rule,), permissions=(PermissionRule("/**", "rw"),))
    with Kernel(config, location) as kernel:
        akashi, kuro = kernel.session("akashi"), kernel.session("kuro")
        akashi.write("/private/note", "quokka")
        akashi.search("quokka")
        kuro.write("/disk/real/avm-notes", "x")
        os.link(store, tmp_path / "other-name")
        files = sorted(each.name for each in store.parent.iterdir())
        assert {"avm.db", "avm.db-wal", "avm.bell", "avm-notes"} <= set(files)
        for name in (*files, "avm.db-journal", "AVM.DB-new", "avm.words.lease"):
            if name == "avm-notes":
                continue
            for attempt in (
                lambda at: kuro.read(at),
                lambda at: kuro.write(at, "x"),
                lambda at: kuro.append(at, "x"),
                lambda at: kuro.delete(at),
                lambda at: kuro.rename(at, "/disk/moved"),
                lambda at: kuro.rename(f"/disk/{below}/avm-notes", at),
            ):
                with pytest.raises((Denied, NotFound)):
                    attempt(f"/disk/{below}/{name}")
        for change in (
            lambda: kuro.read("/disk/other-name"),
            lambda: kuro.append("/disk/other-name", "x"),
            lambda: kuro.rename("/disk/real", "/disk/moved"),
        ):
            with pytest.raises(Denied, match="belongs to AVM's own store"):
                change()
        assert [entry.name for entry in kuro.list(f"/disk/{below}")] == ["avm-notes"]
        assert sorted(each.name for each in store.parent.iterdir()) == files
        assert akashi.read("/private/note").text == "quokka"


def test_a_socket_is_not_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, disk: Disk):
    monkeypatch.chdir(disk.root)  # the path of a socket is short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
        assert disk.list("/") == []
        for attempt in (
            lambda: disk.read("/s"),
            lambda: disk.stat("/s"),
            lambda: disk.write("/s", b""),
            lambda: disk.delete("/s"),
        ):
            with pytest.raises(Unsupported, match="only files and directories"):
                attempt()


def test_the_documentation_is_right(tmp_path: Path):
    """Its example is a configuration, and it names every setting with its default."""
    text = (Path(__file__).parents[3] / "docs" / "handlers" / "file.md").read_text()
    file = tmp_path / "config.yaml"
    file.write_text("\n".join(re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)))
    with Kernel(file, tmp_path / "avm.db") as kernel:
        assert [rule.handler for rule in kernel.config.providers] == ["file", "file"]
    properties = FILE_SCHEMA["properties"]
    settings = dict(re.findall(r"^\| `(\w+)` \| (.*?) ?\|", text, re.MULTILINE))
    assert set(settings) == set(properties)
    for name, described in properties.items():
        if "default" in described:
            assert settings[name] == f"`{json.dumps(described['default'])}`", name
