"""Nothing leads out of the root of the `file` handler: no name, no symlink, no race; and nothing special is opened."""

import os
import resource
import shutil
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from avm_handlers.file import FileHandler
from avm_handlers.jail import LINKS_MAX, Jail
from vfs_core.config import Config, PermissionRule, ProviderRule
from vfs_core.errors import Denied, LinkLoop, NotADirectory, NotFound, Unsupported, VfsError
from vfs_core.handler import Context
from vfs_core.kernel import Kernel
from vfs_core.session import Session
from vfs_core.testing.handlers import PRINCIPAL, as_bytes, names_of

SECRET = b"SECRET: from outside"
INSIDE = b"from inside"


SESSION = cast("Session", SimpleNamespace(kernel=SimpleNamespace(location="/no/store/avm.db")))
"""All that the handler asks of a session is where its store is."""


def asked(path: str) -> Context:
    return Context(PRINCIPAL, SESSION, relative=path.lstrip("/"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with a neighbour that must never be seen or touched: `outside`, and `root-2` with the same beginning."""
    root = tmp_path / "root"
    (root / "dir").mkdir(parents=True)
    (root / "dir" / "file").write_bytes(INSIDE)
    (root / "file").write_bytes(INSIDE)
    for name in ("outside", "root-2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_bytes(SECRET)
    return root


@pytest.fixture
def handler(root: Path) -> FileHandler:
    return FileHandler({"root": str(root), "writable": True})


def everything(directory: Path) -> dict[str, object]:
    """All that is below a directory."""
    return {
        str(each.relative_to(directory)): str(each.readlink())
        if each.is_symlink()
        else each.read_bytes()
        if each.is_file()
        else None
        for each in sorted(directory.rglob("*"))
    }


def outside_of(root: Path) -> dict[str, object]:
    return {name: each for name, each in everything(root.parent).items() if not name.startswith("root/")}


def try_all(handler: FileHandler, path: str) -> list[bytes | None]:
    """Do everything with a path; what was read of it. Only a VfsError may come of it."""
    read: list[bytes | None] = []
    new = "/renamed"
    attempts: tuple[Callable[[], object], ...] = (
        lambda: read.append(as_bytes(handler.read(path, asked(path)))),
        lambda: handler.stat(path, asked(path)),
        lambda: list(handler.list(path, asked(path))),
        lambda: handler.append(path, b"+", asked(path)),
        lambda: handler.write(path, b"written", asked(path)),
        lambda: handler.rename(path, new, asked(path)),
        lambda: handler.rename(new, path, asked(new)),
        lambda: handler.delete(path, asked(path)),
    )
    for attempt in attempts:
        try:
            attempt()
        except VfsError as error:
            assert str(error)
    return read


# --- names ---------------------------------------------------------------------------------------

DOTS = (
    "..",
    "%2e%2e",
    "%252e%252e",
    "..%2f",
    "..%c0%af",
    "%c0%ae%c0%ae",
    "..\\",
    "．．",
    "‥",
    "..\u200b",
    ".. ",
    "..;",
    "..\0",
)
ESCAPES = [
    *("/".join([dots] * depth + ["outside", "file"]) for dots in DOTS for depth in (1, 2)),
    *(f"dir/{dots}/../outside/file" for dots in DOTS),
    *(f"{dots}/root-2/file" for dots in DOTS),
    "../root/../outside/file",
    "..",
    ".",
    "dir/..",
    "dir/../..",
    "//outside/file",
    "dir//../../outside/file",
    "./file",
    "file/",
    "file/.",
    "file\0/../../outside/file",
    "\0",
    "~/file",
    "~root",
    "\udcff\udcfe/../outside",
    "../" * 200 + "etc/passwd",
    "dir/" + "../" * 200 + "etc/passwd",
    "a" * 300,
    "a/" * 3000 + "b",
]


@pytest.mark.parametrize("name", ESCAPES, ids=lambda name: repr(name)[:40])
def test_no_name_leads_out(handler: FileHandler, root: Path, name: str):
    before = outside_of(root)
    assert not any(SECRET in (each or b"") for each in try_all(handler, "/" + name))
    assert outside_of(root) == before


@pytest.mark.parametrize(
    "name", [name for name in ESCAPES if "\0" not in name and name.isprintable()], ids=repr
)
def test_no_name_leads_out_through_a_session(tmp_path: Path, root: Path, name: str):
    config = Config(
        providers=(ProviderRule("/src/**", "file", {"root": str(root), "writable": True}),),
        permissions=(PermissionRule("/src/**", "rw"),),
    )
    with Kernel(config, tmp_path / "store" / "avm.db") as kernel:
        session = kernel.session("akashi")
        before = {name: each for name, each in outside_of(root).items() if not name.startswith("store")}
        for attempt in (
            lambda: session.read(f"/src/{name}").data,
            lambda: session.write(f"/src/{name}", "written"),
            lambda: session.delete(f"/src/{name}"),
        ):
            try:
                assert attempt() != SECRET
            except VfsError as error:
                assert str(error)
    assert {name: each for name, each in outside_of(root).items() if not name.startswith("store")} == before


NAMES = st.sampled_from(
    ["dir", "file", "link", "..", ".", "", "outside", "root", "root-2", "a", "%2e%2e", "..\0"]
)


@given(
    names=st.lists(NAMES, min_size=1, max_size=6),
    targets=st.lists(
        st.tuples(
            st.booleans(), st.lists(NAMES.filter(lambda name: "\0" not in name), min_size=1, max_size=5)
        ),
        max_size=3,
    ),
)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_path_through_no_symlinks_leads_out(
    tmp_path: Path, names: list[str], targets: list[tuple[bool, list[str]]]
):
    """The oracle is the system itself: what it finds outside is refused, what it finds inside is the same."""
    work = tmp_path / "work"
    shutil.rmtree(work, ignore_errors=True)
    root = work / "root"
    (root / "dir").mkdir(parents=True)
    (work / "outside").mkdir()
    for place, content in (
        (root / "dir", INSIDE),
        (root, INSIDE),
        (work / "outside", SECRET),
        (work, SECRET),
    ):
        (place / "file").write_bytes(content)
    places = [root / "link", root / "dir" / "link", root / "a"]
    for place, (absolute, target) in zip(places, targets, strict=False):
        place.symlink_to((f"{root}/" if absolute else "") + "/".join(target) or ".")
    handler = FileHandler({"root": str(root), "writable": True})
    path = "/" + "/".join(names)
    try:
        data = as_bytes(handler.read(path, asked(path)))
    except VfsError:
        data = None
    assert data in (None, INSIDE)
    if not {"", ".", "..", "..\0"} & set(names):
        asked_for = Path(f"{root}{path}")
        real = Path(os.path.realpath(asked_for))
        if data is not None:
            assert real.is_relative_to(root)
        elif real.is_file() and real.is_relative_to(root):  # it was outside on the way
            with pytest.raises(Denied):
                handler.read(path, asked(path))
            assert any(each.is_symlink() for each in (asked_for, *asked_for.parents))
    before = {name: each for name, each in everything(work).items() if not name.startswith("root/")}
    try_all(handler, path)
    assert {name: each for name, each in everything(work).items() if not name.startswith("root/")} == before


# --- symlinks ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("link", "target", "path"),
    [
        ("link", "file", "/link"),
        ("link", "dir", "/link/file"),
        ("link", "./dir/../file", "/link"),
        ("dir/link", "../file", "/dir/link"),
        ("dir/link", "..", "/dir/link/dir/link/file"),
        ("link", ".", "/link/link/link/dir/file"),
        ("link", "{root}/file", "/link"),
        ("link", "{root}/dir/", "/link/file"),
        ("link", "{root}", "/link/dir/file"),
        ("link", "//{root}/./dir//file", "/link"),
    ],
)
def test_a_symlink_that_stays_inside_is_followed(
    handler: FileHandler, root: Path, link: str, target: str, path: str
):
    (root / link).symlink_to(target.format(root=root))
    assert as_bytes(handler.read(path, asked(path))) == INSIDE
    stat = handler.stat(path, asked(path))
    assert stat is not None
    assert stat.size == len(INSIDE)


@pytest.mark.parametrize(
    ("link", "target", "path"),
    [
        ("link", "../outside/file", "/link"),
        ("link", "../outside", "/link/file"),
        ("dir/link", "../../outside/file", "/dir/link"),
        ("link", "{root}/../outside/file", "/link"),
        ("link", "{root}-2/file", "/link"),
        ("link", "{outside}/file", "/link"),
        ("link", "/", "/link/etc/passwd"),
        ("link", "/etc/passwd", "/link"),
        ("link", "/proc/self/root/etc/passwd", "/link"),
        ("link", "/dev/fd/0", "/link"),
        ("link", "..", "/link/outside/file"),
        ("link", "../root/file", "/link"),
        ("link", "../root/../outside/file", "/link"),
        ("link", "dir/../../outside/file", "/link"),
        ("dir/link", "../dir/../../outside/file", "/dir/link"),
    ],
)
def test_a_symlink_that_leads_out_is_refused(
    handler: FileHandler, root: Path, link: str, target: str, path: str
):
    """Also one that comes back: what is outside decides where it leads."""
    (root / link).symlink_to(target.format(root=root, outside=root.parent / "outside"))
    before = outside_of(root)
    for attempt in (
        lambda: handler.read(path, asked(path)),
        lambda: handler.stat(path, asked(path)),
        lambda: handler.write(path, b"written", asked(path)),
        lambda: handler.append(path, b"+", asked(path)),
        lambda: handler.list(path, asked(path)),
    ):
        with pytest.raises(Denied, match="a symlink leads out of the root"):
            attempt()
    assert Path(link).name not in {name.rstrip("/") for name in names_of(handler.list("/", asked("/")))}
    try_all(handler, path)
    assert outside_of(root) == before


def test_a_chain_of_symlinks_is_checked_link_by_link(handler: FileHandler, root: Path):
    (root / "one").symlink_to("two")
    (root / "two").symlink_to("dir/three")
    (root / "dir" / "three").symlink_to("../four")
    (root / "four").symlink_to("../outside/file")
    with pytest.raises(Denied):
        handler.read("/one", asked("/one"))
    (root / "four").unlink()
    (root / "four").symlink_to("dir/file")
    assert as_bytes(handler.read("/one", asked("/one"))) == INSIDE


def test_symlinks_without_end_end(handler: FileHandler, root: Path):
    (root / "self").symlink_to("self")
    (root / "ping").symlink_to("pong/x")
    (root / "pong").symlink_to("ping/x")
    (root / "chain0").symlink_to("file")
    for number in range(LINKS_MAX + 1):
        (root / f"chain{number + 1}").symlink_to(f"chain{number}")
    for path in ("/self", "/self/x", "/ping", "/pong", f"/chain{LINKS_MAX + 1}"):
        with pytest.raises(LinkLoop):
            handler.read(path, asked(path))
    last = f"/chain{LINKS_MAX - 1}"
    assert as_bytes(handler.read(last, asked(last))) == INSIDE


def test_symlinks_that_go_up_and_down_end(root: Path, monkeypatch: pytest.MonkeyPatch):
    (root / "link").symlink_to("dir/../" * 500 + "file")
    assert Jail(str(root)).stat("/link", "link").st_size == len(INSIDE)
    monkeypatch.setattr("avm_handlers.jail.STEPS_MAX", 100)
    with pytest.raises(LinkLoop, match="up and down"):
        Jail(str(root)).stat("/link", "link")


def test_the_root_may_be_a_symlink_and_absolute_links_may_name_either(tmp_path: Path, root: Path):
    alias = tmp_path / "alias"
    alias.symlink_to("root")
    (root / "by-alias").symlink_to(alias / "file")
    (root / "by-name").symlink_to(root / "file")
    handler = FileHandler({"root": str(alias)})
    for path in ("/file", "/by-alias", "/by-name"):
        assert as_bytes(handler.read(path, asked(path))) == INSIDE
    assert sorted(names_of(handler.list("/", asked("/")))) == ["by-alias", "by-name", "dir/", "file"]


def test_a_deep_tree_takes_few_descriptors(handler: FileHandler):
    path = "/" + "d/" * 300 + "file"
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (max(int(each.name) for each in Path("/dev/fd").iterdir()) + 8, before[1])
    )
    try:
        handler.write(path, b"deep", asked(path))
        content = as_bytes(handler.read(path, asked(path)))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert content == b"deep"


# --- special files -------------------------------------------------------------------------------


def in_time(work: Callable[[], object], seconds: float = 20) -> None:
    """Fails instead of hanging for ever."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    assert not thread.is_alive(), "it waits"


@pytest.mark.parametrize("through_a_link", [False, True])
def test_a_fifo_is_refused_and_not_waited_for(handler: FileHandler, root: Path, through_a_link: bool):
    os.mkfifo(root / "fifo")
    (root / "link").symlink_to("fifo")
    path = "/link" if through_a_link else "/fifo"
    refused = []

    def work() -> None:
        for attempt in (
            lambda: handler.read(path, asked(path)),
            lambda: handler.stat(path, asked(path)),
            lambda: handler.write(path, b"x", asked(path)),
            lambda: handler.append(path, b"x", asked(path)),
        ):
            with pytest.raises(Unsupported, match="only files and directories are served"):
                attempt()
            refused.append(attempt)
        for list_it in (lambda: handler.list(path, asked(path)),):
            with pytest.raises(NotADirectory):
                list_it()

    in_time(work)
    assert len(refused) == 4


def test_a_device_is_refused(root: Path):
    handler = FileHandler({"root": "/dev", "writable": True})
    for path in ("/null", "/zero", "/tty", "/random"):
        for attempt in (
            lambda path=path: handler.read(path, asked(path)),
            lambda path=path: handler.write(path, b"x", asked(path)),
            lambda path=path: handler.append(path, b"x", asked(path)),
            lambda path=path: handler.delete(path, asked(path)),
            lambda path=path: handler.rename(path, "/null-2", asked(path)),
        ):
            with pytest.raises(Unsupported):
                attempt()
    assert not {"null", "zero", "tty"} & set(names_of(handler.list("/", asked("/"))))
    assert Path("/dev/null").is_char_device()


def test_a_fifo_put_in_a_files_place_meanwhile_is_not_waited_for(
    handler: FileHandler, root: Path, monkeypatch: pytest.MonkeyPatch
):
    """Between the look and the open."""
    real_open = os.open

    def swapping(name, flags, mode=0o777, *, dir_fd=None):
        if name == "file":
            (root / "file").unlink()
            os.mkfifo(root / "file")
        return real_open(name, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", swapping)
    refused = []

    def work() -> None:
        for attempt in (
            lambda: handler.read("/file", asked("/file")),
            lambda: handler.append("/file", b"x", asked("/file")),
            lambda: handler.write("/file", b"x", asked("/file")),
        ):
            (root / "file").unlink()
            (root / "file").write_bytes(INSIDE)
            with pytest.raises(Unsupported):
                attempt()
            refused.append(attempt)

    in_time(work)
    assert len(refused) == 3


@pytest.mark.parametrize("swapped", ["file", "dir"])
def test_a_symlink_put_in_a_names_place_meanwhile_is_not_followed(
    handler: FileHandler, root: Path, monkeypatch: pytest.MonkeyPatch, swapped: str
):
    """Between the look and the open, every time."""
    real_open = os.open
    before = outside_of(root)
    swaps = []

    def swapping(name, flags, mode=0o777, *, dir_fd=None):
        if name == swapped and not (root / swapped).is_symlink():
            (root / swapped).rename(root / "away")
            (root / swapped).symlink_to("../outside/file" if swapped == "file" else "../outside")
            swaps.append(name)
        return real_open(name, flags, mode, dir_fd=dir_fd)

    path = "/file" if swapped == "file" else "/dir/file"
    for attempt in (
        lambda: handler.read(path, asked(path)),
        lambda: handler.append(path, b"+", asked(path)),
        lambda: handler.write(path, b"written", asked(path)),
        lambda: handler.list("/dir", asked("/dir")) if swapped == "dir" else handler.read(path, asked(path)),
        lambda: (
            handler.rename(path, "/new", asked(path)) if swapped == "dir" else handler.read(path, asked(path))
        ),
        lambda: handler.delete(path, asked(path)) if swapped == "dir" else handler.read(path, asked(path)),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(os, "open", swapping)
            with pytest.raises(Denied, match="leads out of the root"):
                attempt()
        (root / swapped).unlink()
        (root / "away").rename(root / swapped)
    assert len(swaps) == 6
    assert outside_of(root) == before


# --- races ---------------------------------------------------------------------------------------

SWAPS = 5000
PATIENCE = 120
"""Seconds after which a race that was never lost or never won is given up, and the test fails."""


@pytest.fixture
def quick_switching():
    """Threads take turns often, so that a swap falls between any two steps."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def race(swap: Callable[[], None], work: Callable[[], None], is_run: Callable[[], bool]) -> None:
    """Swap SWAPS times, and on until both ways were met, while `work` is done over and over."""
    done = threading.Event()
    errors: list[BaseException] = []

    def swap_on() -> None:
        try:
            end = time.monotonic() + PATIENCE
            swaps = 0
            while swaps < SWAPS or not (is_run() or time.monotonic() > end):
                swap()
                swaps += 1
        except BaseException as error:
            errors.append(error)
        finally:
            done.set()

    swapper = threading.Thread(target=swap_on)
    swapper.start()
    try:
        while not done.is_set():
            work()
    finally:
        swapper.join()
    assert not errors
    assert is_run(), "the race was not run"


@pytest.mark.usefixtures("quick_switching")
@pytest.mark.parametrize("kind", ["directory", "file"])
def test_a_swap_while_reading_never_shows_what_is_outside(handler: FileHandler, root: Path, kind: str):
    if kind == "directory":
        (root / "spare").mkdir()
        (root / "spare" / "file").write_bytes(INSIDE)
        (root / "evil").symlink_to("../outside")
        path = "/place/file"
    else:
        (root / "spare").write_bytes(INSIDE)
        (root / "evil").symlink_to("../outside/file")
        path = "/place"
    seen: dict[object, int] = {}

    def work() -> None:
        outcome: object
        try:
            outcome = as_bytes(handler.read(path, asked(path)))
            stat = handler.stat(path, asked(path))
            assert stat is None or stat.size == len(INSIDE)
            if kind == "directory":
                assert names_of(handler.list("/place", asked("/place"))) == ["file"]
        except VfsError as error:
            outcome = type(error)
        seen[outcome] = seen.get(outcome, 0) + 1

    place, inside, outside = (root / name for name in ("place", "spare", "evil"))

    def swap() -> None:
        inside.rename(place)
        place.rename(inside)
        outside.rename(place)
        place.rename(outside)

    race(swap, work, lambda: {INSIDE, Denied} <= set(seen))
    assert set(seen) <= {INSIDE, None, Denied, NotFound, NotADirectory}, seen


def swap_file(root: Path) -> None:
    """A file, and a symlink to one outside, at `place`."""
    (root / "evil").symlink_to("../outside/file")
    (root / "evil").replace(root / "place")
    (root / "good").write_bytes(INSIDE)
    (root / "good").replace(root / "place")


def swap_directory(root: Path) -> None:
    """A directory, and a symlink to one outside, at `place`, whatever has been written there meanwhile."""
    place, kept, evil = root / "place", root / "kept", root / "evil"
    try:
        evil.symlink_to("../outside")
        place.rename(kept)
        evil.rename(place)
        place.rename(evil)
        kept.rename(place)
    except OSError:  # a write has made the directory that was missing
        if place.is_symlink():
            place.unlink()
        shutil.rmtree(kept, ignore_errors=True)
    if evil.is_symlink():
        evil.unlink()
    else:
        shutil.rmtree(evil, ignore_errors=True)
    place.mkdir(exist_ok=True)


@pytest.mark.usefixtures("quick_switching")
@pytest.mark.parametrize(("swap", "path"), [(swap_directory, "/place/file"), (swap_file, "/place")])
def test_a_swap_while_writing_never_changes_what_is_outside(
    handler: FileHandler, root: Path, swap: Callable[[Path], None], path: str
):
    before = outside_of(root)
    swap(root) if swap is swap_file else (root / "place").mkdir()
    outcomes: set[object] = set()

    def work() -> None:
        for attempt in (
            lambda: handler.append(path, b"+", asked(path)),
            lambda: handler.write(path, b"written", asked(path)),
            lambda: handler.rename(path, "/moved", asked(path)),
            lambda: handler.rename("/moved", path, asked("/moved")),
            lambda: handler.delete(path, asked(path)),
            lambda: handler.delete("/moved", asked("/moved")),
        ):
            try:
                attempt()
                outcomes.add("done")
            except VfsError as error:
                outcomes.add(type(error))

    race(lambda: swap(root), work, lambda: {"done", Denied} <= outcomes)
    assert outside_of(root) == before


def test_nothing_stays_open(handler: FileHandler, root: Path):
    if not Path("/dev/fd").exists():
        pytest.skip("needs /dev/fd")
    (root / "out").symlink_to("../outside")
    (root / "loop").symlink_to("loop")
    os.mkfifo(root / "fifo")

    def count() -> int:
        return len(list(Path("/dev/fd").iterdir()))

    before = count()
    for _ in range(3):
        for path in (
            "/file",
            "/dir",
            "/dir/new/a",
            "/out/x",
            "/loop",
            "/fifo",
            "/no/x",
            "/..",
            "/file/x",
            "/",
        ):
            try_all(handler, path)
    assert count() == before
