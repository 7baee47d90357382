"""The index of a project: what a scan reads, what git would ignore, and what the handler shows of it."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from avm_handlers.index import IndexHandler
from avm_handlers.indexing import files, index_file
from avm_handlers.indexing import scan as scanning
from avm_handlers.indexing.index_file import reading
from avm_handlers.indexing.scan import Scanned, scan, status
from vfs_core.config import Config, PermissionRule, ProviderRule
from vfs_core.errors import Denied, Invalid, IsADirectory, MissingExtra, NotADirectory, NotFound, TimedOut
from vfs_core.handler import BaseHandler, Capabilities, Context
from vfs_core.kernel import Kernel
from vfs_core.session import Session
from vfs_core.testing import HandlerTests
from vfs_core.testing.handlers import PRINCIPAL, MakeContext

MODULE = "class Cart:\n    def add(self, item):\n        pass\n"
SIGNATURES = "     1  class      Cart  class Cart\n     2  method     Cart.add  def add(self, item)\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small project, long enough ago that its files' times can be relied on."""
    root = tmp_path / "project"
    (root / "src" / "deep").mkdir(parents=True)
    (root / "src" / "cart.py").write_text(MODULE)
    (root / "src" / "deep" / "main.go").write_text("package main\nfunc main() {}\n")
    (root / "README.md").write_text("# Shop\n")
    settle()
    return root


def settle() -> None:
    """Until a change of a file is sure to show in its times."""
    time.sleep(2 * files._TICK_NS / 1e9)


def states(name: str = "shop") -> dict[str, str]:
    with reading(name) as index:
        return {state.path: state.status for state in status(index)}


def changes(done: Scanned) -> tuple[list[str], list[str], list[str]]:
    return sorted(done.added), sorted(done.changed), sorted(done.removed)


def paths_of(root: Path) -> list[str]:
    return [seen.path for seen in files.walk(root, [])]


class TestIndexHandler(HandlerTests):
    @pytest.fixture
    def handler(self, project: Path) -> BaseHandler:
        scan("shop", project)
        return IndexHandler()

    @pytest.fixture
    def present(self) -> tuple[str, bytes]:
        return "/index/shop/sigs/src/cart.py", SIGNATURES.encode()

    @pytest.fixture
    def absent(self) -> str:
        return "/index/shop/sigs/src/no.py"

    @pytest.fixture
    def make_context(self) -> MakeContext:
        return lambda path: Context(PRINCIPAL, None, relative=path.removeprefix("/index").lstrip("/"))  # type: ignore[arg-type]

    def test_it_lists_and_is_read_only(self, offers: Capabilities):
        assert offers == Capabilities(list=True, stat=True)


# --- scanning ------------------------------------------------------------------------------------


def test_a_first_scan_reads_everything_and_a_second_nothing(project: Path):
    done = scan("shop", project)
    assert (done.root, done.files, done.read, done.parsed) == (str(project), 3, 3, 2)
    assert changes(done) == (["README.md", "src/cart.py", "src/deep/main.go"], [], [])
    again = scan("shop")
    assert (again.files, again.read, again.parsed, changes(again)) == (3, 0, 0, ([], [], []))
    assert set(states().values()) == {"clean"}


def test_a_rescan_reads_what_was_touched_and_parses_what_has_changed(project: Path):
    scan("shop", project)
    (project / "README.md").touch()
    settle()
    done = scan("shop")
    assert (done.read, done.parsed, changes(done)) == (1, 0, ([], [], []))
    (project / "src" / "cart.py").write_text("def other(): pass\n")
    (project / "new.rs").write_text("fn new() {}")
    (project / "README.md").unlink()
    settle()
    done = scan("shop")
    assert (done.read, done.parsed) == (2, 2)
    assert changes(done) == (["new.rs"], ["src/cart.py"], ["README.md"])
    with reading("shop") as index:
        assert [each.name for each in index.signatures("src/cart.py") or []] == ["other"]
        assert index.signatures("README.md") is None
    assert scan("shop").read == 0


def test_a_change_that_keeps_size_and_time_is_seen(project: Path):
    file = project / "src" / "cart.py"
    scan("shop", project)
    before = file.stat()
    file.write_text(MODULE.replace("Cart", "Tray"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert states()["src/cart.py"] == "dirty"
    assert scan("shop").changed == ["src/cart.py"]


def test_a_file_that_has_just_been_written_is_read_once_more(project: Path):
    """Two changes within a tick of the clock would look like one."""
    file = project / "src" / "cart.py"
    for number in range(5):
        file.write_text(MODULE.replace("Cart", f"Cart{number}"))
        scan("shop", project)
        with reading("shop") as index:
            assert (index.signatures("src/cart.py") or [])[0].name == f"Cart{number}"
        assert states()["src/cart.py"] == "clean"
    settle()
    scan("shop")
    assert scan("shop").read == 0


def test_status_tells_clean_dirty_and_missing(project: Path):
    scan("shop", project)
    (project / "src" / "cart.py").write_text("x = 1\n")
    (project / "src" / "deep" / "main.go").unlink()
    (project / "new.txt").write_text("")
    (project / "README.md").touch()  # changed in time, not in content
    assert states() == {
        "README.md": "clean",
        "new.txt": "dirty",
        "src/cart.py": "dirty",
        "src/deep/main.go": "missing",
    }
    shutil.rmtree(project)
    assert set(states().values()) == {"missing"}


def test_an_index_moves_with_its_project(project: Path, tmp_path: Path):
    scan("shop", project)
    other = tmp_path / "other"
    project.rename(other)
    with pytest.raises(NotFound, match="is not a directory that could be scanned"):
        scan("shop")
    done = scan("shop", other)
    assert (done.root, done.files, len(done.added)) == (str(other), 3, 3)
    assert set(states()) == {"README.md", "src/cart.py", "src/deep/main.go"}


def test_projects_are_apart(project: Path):
    scan("shop", project)
    scan("part", project / "src")
    assert index_file.names() == ["part", "shop"]
    assert set(states("part")) == {"cart.py", "deep/main.go"}
    assert len(states("shop")) == 3


def test_a_project_that_was_never_scanned_needs_a_path(project: Path):
    scan("shop", project)
    with pytest.raises(
        NotFound, match=r"no index 'none' \(there are: shop\); `avm index scan none PATH` makes it"
    ):
        scan("none")
    assert index_file.names() == ["shop"]


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "../x", ".hidden", "-x", "a b", "x" * 101, "a\0", "a\n"]
)
def test_a_name_that_is_none_is_refused(project: Path, name: str):
    with pytest.raises(Invalid, match="is not a name for an index"):
        scan(name, project)


def test_only_plain_files_are_read(project: Path, tmp_path: Path):
    (tmp_path / "secret.py").write_text("def secret(): pass")
    (project / "link.py").symlink_to(tmp_path / "secret.py")
    (project / "loop").symlink_to(project)
    os.mkfifo(project / "pipe.py")
    assert scan("shop", project).files == 3
    for name in ("pipe.py", "src", "gone.py", "README.md/x"):
        assert files.read(project, name) is None
    with pytest.raises(OSError, match="link"):
        files.read(project, "link.py")


def test_odd_files_are_counted_and_not_understood(project: Path):
    (project / "binary.py").write_bytes(b"def x(): pass\0\xff")
    (project / "latin.py").write_bytes("def café(): pass\n".encode("latin-1"))
    (project / "empty.py").write_text("")
    (project / "a\nb\x1b[31m.py").write_text("def strange(): pass\n")
    (project / "局势.py").write_text("def 局势(): pass\n")
    done = scan("shop", project)
    assert (done.files, done.skipped) == (8, [])
    with reading("shop") as index:
        assert index.signatures("binary.py") is None
        assert index.signatures("empty.py") == []
        assert [each.name for each in index.signatures("局势.py") or []] == ["局势"]
        assert [each.kind for each in index.signatures("latin.py") or []] == ["function"]


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS refuses such names")
def test_a_name_that_is_not_utf_8_is_passed_over_and_told(project: Path):
    Path(os.fsdecode(os.fsencode(project) + b"/bad\xff.py")).write_text("")
    done = scan("shop", project)
    assert (done.files, done.skipped) == (3, ["bad\\udcff.py"])


def test_what_may_not_be_read_is_told_and_not_forgotten(project: Path, monkeypatch: pytest.MonkeyPatch):
    scan("shop", project)
    real = os.open

    def refuse(path, *arguments, **named):
        if str(path).endswith("cart.py"):
            raise PermissionError(13, "Permission denied")
        return real(path, *arguments, **named)

    (project / "src" / "cart.py").touch()
    monkeypatch.setattr(files.os, "open", refuse)
    done = scan("shop")
    assert (done.skipped, done.removed) == (["src/cart.py"], [])
    assert states()["src/cart.py"] == "dirty"


def test_a_large_file_is_told_by_its_times(project: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(files, "LARGEST", 10)
    scan("shop", project)
    assert set(states().values()) == {"clean"}
    (project / "src" / "cart.py").touch()
    assert states()["src/cart.py"] == "dirty"
    assert scan("shop").changed == ["src/cart.py"]
    assert set(states().values()) == {"clean"}


def test_source_that_a_machine_wrote_is_not_parsed(project: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(scanning, "_LONGEST_SOURCE", 40)
    scan("shop", project)
    with reading("shop") as index:
        assert index.signatures("src/cart.py") is None
        assert index.signatures("src/deep/main.go") is not None


def test_an_interrupted_scan_keeps_what_it_has(project: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(scanning, "_AT_ONCE", 1)

    def stop(done: int, total: int) -> None:
        assert total == 3
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scan("shop", project, stop)
    assert sorted(states().values()) == ["clean", "clean", "dirty"]
    assert scan("shop").read == 1


def test_two_scans_at_once_agree(project: Path):
    for number in range(300):
        (project / f"m{number}.py").write_text(f"def f{number}(): pass\n")
    settle()
    failures: list[BaseException] = []

    def work() -> None:
        try:
            scan("shop", project)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert set(states().values()) == {"clean"}
    with reading("shop") as index:
        assert {path: len(each) for path, each in index.all_signatures().items() if path.startswith("m")} == {
            f"m{number}.py": 1 for number in range(300)
        }


def test_an_index_of_another_version_is_made_anew(project: Path, monkeypatch: pytest.MonkeyPatch):
    scan("shop", project)
    monkeypatch.setattr(index_file, "VERSION", 99)
    with pytest.raises(NotFound, match="is of another version: `avm index scan shop PATH` makes it anew"):
        scan("shop")
    assert scan("shop", project).read == 3


def test_a_damaged_index_is_named(project: Path):
    scan("shop", project)
    (index_file.directory() / "shop.db").write_bytes(b"no database" * 1000)
    for attempt in (lambda: scan("shop", project), states):
        with pytest.raises(Invalid, match=r"shop\.db is damaged or no index; remove it and scan again"):
            attempt()


def test_without_the_parsers_it_is_said_what_to_type(project: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "tree_sitter_python", None)
    monkeypatch.setattr(scanning.signatures.__globals__["_local"], "parsers", {}, raising=False)
    with pytest.raises(
        MissingExtra, match=r"tree_sitter_python, which is not installed; type: pip install 'avm\[index\]'"
    ):
        scan("shop", project)
    monkeypatch.setitem(sys.modules, "pathspec", None)
    (project / ".gitignore").write_text("x")
    with pytest.raises(MissingExtra, match="needs pathspec"):
        scan("shop", project)


def test_a_real_project_of_more_than_a_thousand_files(tmp_path: Path):
    """Installed packages; after touching one file, that one is read and no other."""
    import hypothesis
    import pip

    root = tmp_path / "packages"
    for package in (hypothesis, pip):
        source = Path(package.__file__).parent
        shutil.copytree(source, root / source.name, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    for number in range(1000 - sum(1 for _ in root.rglob("*.py")) + 1):
        shutil.copyfile(root / "pip" / "__init__.py", root / "pip" / f"copy{number}.py")
    settle()
    done = scan("packages", root)
    assert done.files > 1000
    assert done.parsed >= 1000
    (root / "pip" / "__init__.py").touch()
    settle()
    again = scan("packages")
    assert (again.files, again.read, again.parsed) == (done.files, 1, 0)
    with reading("packages") as index:
        assert "main" in [each.name for each in index.signatures("pip/__init__.py") or []]
        assert "given" in [each.name for each in index.signatures("hypothesis/core.py") or []]


# --- what git ignores ----------------------------------------------------------------------------


def test_gitignore_files_are_respected_as_git_does(tmp_path: Path):
    root = tmp_path / "repository"
    for path in (
        "a.log",
        "keep.log",
        "build/x.py",
        "src/a.py",
        "src/a.log",
        "src/keep/b.log",
        "src/build",
        "x/t.tmp",
    ):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("")
    (root / ".gitignore").write_text("# comment\n*.log\n!keep.log\n/build/\n!\n\n")
    (root / "src" / ".gitignore").write_text("!*.log\nkeep/\n")
    assert paths_of(root) == [
        ".gitignore",
        "keep.log",
        "src/.gitignore",
        "src/a.log",
        "src/a.py",
        "src/build",
        "x/t.tmp",
    ]
    git = shutil.which("git")
    if git is not None:
        subprocess.run([git, "init", "-q", root], check=True)
        (root / ".git" / "info" / "exclude").write_text("*.tmp\n")
        listed = subprocess.run(
            [git, "-C", root, "ls-files", "-co", "--exclude-standard"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.split()
        assert sorted(paths_of(root)) == sorted(listed)
        assert "x/t.tmp" not in listed
        assert not any(path.startswith(".git/") for path in paths_of(root))


def test_rules_above_the_project_hold_unless_they_ignore_all_of_it(tmp_path: Path):
    root = tmp_path / "repository"
    (root / ".git").mkdir(parents=True)
    (root / ".gitignore").write_text("*.log\nvenv/\n")
    for path in ("src/a.py", "src/a.log", "venv/package/a.py", "venv/package/a.log"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("")
    assert paths_of(root) == [".gitignore", "src/a.py"]
    assert paths_of(root / "src") == ["a.py"]
    assert paths_of(root / "venv" / "package") == ["a.log", "a.py"]


def test_a_gitignore_that_is_no_text_ignores_what_it_can(tmp_path: Path):
    (tmp_path / "a.py").write_text("")
    (tmp_path / "b.py").write_text("")
    (tmp_path / ".gitignore").write_bytes(b"\xff\xfe\0[\na.py\n[z-\n")
    assert paths_of(tmp_path) == [".gitignore", "b.py"]
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / ".gitignore").mkdir()
    (tmp_path / "sub" / "c.py").write_text("")
    assert paths_of(tmp_path) == [".gitignore", "b.py", "sub/c.py"]


# --- what is shown -------------------------------------------------------------------------------


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., Session]]:
    kernels: list[Kernel] = []

    def open_session(pattern: str = "/index/**", *permissions: PermissionRule) -> Session:
        config = Config(providers=(ProviderRule(pattern, "index", {}),), permissions=permissions)
        kernels.append(Kernel(config, tmp_path / "avm.db"))
        return kernels[-1].session("akashi")

    yield open_session
    for kernel in kernels:
        kernel.close()


@pytest.mark.parametrize("place", ["/index", "/code/of/all"])
def test_an_index_is_read_as_files(opened, project: Path, place: str):
    session = opened(f"{place}/**")
    assert session.list(place) == []
    scan("shop", project)
    (project / "src" / "cart.py").write_text("x = 1\n")

    def names(path: str) -> list[str]:
        return [entry.name + "/" * entry.is_directory for entry in session.list(f"{place}{path}")]

    assert names("") == ["shop/"]
    assert names("/shop") == ["sigs/", "sigs.json", "status", "status.json"]
    assert names("/shop/sigs") == ["src/"]
    assert names("/shop/sigs/src") == ["cart.py", "deep/"]
    assert session.read(f"{place}/shop/sigs/src/cart.py").text == SIGNATURES
    assert (
        session.read(f"{place}/shop/status").text
        == f"dirty    src/cart.py\n{project}: 2 clean, 1 dirty, 0 missing\n"
    )
    data = json.loads(session.read(f"{place}/shop/status.json").data)
    assert (data["root"], data["clean"], data["dirty"], data["missing"]) == (str(project), 2, 1, 0)
    assert {"path": "src/cart.py", "status": "dirty"} in data["files"]
    signatures = json.loads(session.read(f"{place}/shop/sigs.json").data)
    assert signatures["src/deep/main.go"] == [
        {"line": 2, "kind": "function", "name": "main", "text": "func main()"}
    ]


def test_directories_and_files_are_told_apart(opened, project: Path):
    scan("shop", project)
    session = opened()
    for path in ("/index/shop", "/index/shop/sigs", "/index/shop/sigs/src"):
        assert session.stat(path).is_directory
        with pytest.raises(IsADirectory):
            session.read(path)
    for path in ("/index/shop/status", "/index/shop/sigs/src/cart.py"):
        assert session.stat(path).size == len(session.read(path).data)
        with pytest.raises(NotADirectory):
            session.list(path)
    for path in ("/index/no", "/index/no/status", "/index/shop/no", "/index/shop/sigs/no", "/index/shop/sigs/README.md",
                 "/index/shop/status/x", "/index/..x/status", "/index/shop/sigs/src/cart"):  # fmt: skip
        assert not session.exists(path)
        for attempt in (session.read, session.list):
            with pytest.raises(NotFound):
                attempt(path)


def test_not_found_says_which_indexes_there_are(opened, project: Path):
    scan("shop", project)
    session = opened()
    for path in ("/index/no", "/index/no/status", "/index/no/sigs/src/cart.py"):
        for attempt in (session.read, session.stat, session.list):
            with pytest.raises(NotFound, match=r"no index 'no' \(there are: shop\)"):
                attempt(path)


def test_it_is_read_only_and_permissions_hold(opened, project: Path):
    scan("shop", project)
    with pytest.raises(Denied):
        opened().write("/index/shop/status", "x")
    hidden = opened("/index/**", PermissionRule("/index/**", "none"))
    with pytest.raises(NotFound):
        hidden.read("/index/shop/status")


def test_a_deadline_ends_a_walk(project: Path):
    scan("shop", project)
    late = Context(PRINCIPAL, None, relative="shop/status", deadline=time.monotonic() - 1)  # type: ignore[arg-type]
    with pytest.raises(TimedOut):
        IndexHandler().read("/index/shop/status", late)


def test_names_and_code_of_others_do_not_reach_a_terminal_raw(opened, project: Path):
    (project / "a\x1b[31m.py").write_text("def f(x='\x1b]0;title\x07'): pass\n")
    scan("shop", project)
    (project / "a\x1b[31m.py").unlink()
    session = opened()
    assert "\x1b" not in session.read("/index/shop/status").text
    assert session.read("/index/shop/sigs/a\x1b[31m.py").text == (
        "     1  function   f  def f(x='\\x1b]0;title\\x07')\n"
    )
