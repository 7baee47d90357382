"""`avm index`: scanning a project, and what is shown of it, as a user types it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Avm = Callable[..., Any]
"""The fixture `avm` (conftest.py)."""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    (root / "src").mkdir(parents=True)
    (root / "src" / "cart.py").write_text("class Cart:\n    def add(self, item): ...\n")
    (root / "main.go").write_text("package main\nfunc main() {}\n")
    (root / ".gitignore").write_text("*.log\n")
    (root / "a.log").write_text("ignored")
    time.sleep(0.05)  # so that the times of the files can be relied on
    return root


def test_the_commands_of_the_description_work_without_a_configuration(avm: Avm, project: Path) -> None:
    done = avm("index", "scan", "myapp", project)
    assert (done.code, done.err) == (0, "")
    assert done.out == f"{project}: 3 files, 3 added, 0 changed, 0 removed; 3 read, 2 parsed\n"
    assert avm("index", "scan", "myapp").out.endswith("; 0 read, 0 parsed\n")
    assert avm("index", "status", "myapp").out == f"{project}: 3 clean, 0 dirty, 0 missing\n"
    assert avm("index", "sigs", "myapp").out == (
        "main.go\n     2  function   main  func main()\n"
        "src/cart.py\n     1  class      Cart  class Cart\n     2  method     Cart.add  def add(self, item)\n"
    )
    for part in ("src", "src/cart.py", "./src/", "/src/cart.py"):
        assert avm("index", "sigs", "myapp", part).out.startswith("src/cart.py\n     1  class ")
    assert avm("index", "sigs", "myapp", ".").out == avm("index", "sigs", "myapp").out


def test_what_has_changed_is_shown(avm: Avm, project: Path) -> None:
    avm("index", "scan", "myapp", project)
    (project / "main.go").unlink()
    (project / "new.txt").write_text("")
    assert avm("index", "status", "myapp").out == (
        f"missing  main.go\ndirty    new.txt\n{project}: 2 clean, 1 dirty, 1 missing\n"
    )
    status = avm("index", "status", "myapp", "--json").json
    assert (status["clean"], status["dirty"], status["missing"], len(status["files"])) == (2, 1, 1, 4)
    scanned = avm("index", "scan", "myapp", "--json").json
    assert (scanned["added"], scanned["changed"], scanned["removed"]) == (["new.txt"], [], ["main.go"])
    assert avm("index", "sigs", "--json", "myapp").json == {
        "src/cart.py": [
            {"line": 1, "kind": "class", "name": "Cart", "text": "class Cart"},
            {"line": 2, "kind": "method", "name": "Cart.add", "text": "def add(self, item)"},
        ]
    }


def test_what_is_not_there_is_not_found_and_says_what_is(avm: Avm, project: Path) -> None:
    avm("index", "scan", "myapp", project)
    for command in ("status", "sigs", "scan", "watch"):
        done = avm("index", command, "nope")
        assert (done.code, done.out) == (3, "")
        assert "there is no index 'nope' (there are: myapp); `avm index scan nope PATH` makes it" in done.err
    assert "has no code at 'nowhere'" in avm("index", "sigs", "myapp", "nowhere").err
    assert avm("index", "scan", "../x", project).code == 2
    assert avm("index", "scan", "myapp", project / "none").code == 2


def test_the_configuration_says_where_it_is_and_who_may_read_it(
    avm: Avm, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "c.yaml"
    monkeypatch.setenv("AVM_CONFIG", str(config))
    config.write_text("providers: [{pattern: '/code/**', handler: index}]\n")
    avm("index", "scan", "myapp", project)
    assert avm("index", "status", "myapp").out.endswith("3 clean, 0 dirty, 0 missing\n")
    assert avm("read", "/code/myapp/sigs/main.go").out == "     2  function   main  func main()\n"
    assert avm("ls", "/code/myapp").out == "sigs\nsigs.json\nstatus\nstatus.json\n"
    config.write_text(config.read_text() + "permissions: [{pattern: '/code/**', access: none}]\n")
    assert avm("index", "status", "myapp").code == 3
    config.write_text("permissions: [{pattern: '/index/**', access: none}]\n")
    assert avm("index", "sigs", "myapp").code == 3


def test_watching_prints_each_change(project: Path) -> None:
    arguments = [
        sys.executable,
        "-m",
        "avm",
        "index",
        "watch",
        "myapp",
        str(project),
        "--interval",
        "0.05",
        "--json",
    ]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None

        def line() -> dict[str, str]:
            event: dict[str, str] = json.loads(running.stdout.readline())  # type: ignore[union-attr]
            return event

        assert [line()["path"] for _ in range(3)] == [".gitignore", "main.go", "src/cart.py"]
        (project / "new.rs").write_text("fn new() {}")
        assert line() == {"event": "added", "path": "new.rs"}
        (project / "main.go").write_text("package other\n")
        assert line() == {"event": "changed", "path": "main.go"}
        (project / "src" / "cart.py").unlink()
        assert line() == {"event": "removed", "path": "src/cart.py"}
        running.kill()


def test_watching_ends_after_its_rounds(avm: Avm, project: Path) -> None:
    done = avm("index", "watch", "myapp", project, "--rounds", "2", "--interval", "0.05")
    assert done.out == "added    .gitignore\nadded    main.go\nadded    src/cart.py\n"
    assert avm("index", "watch", "myapp", "--rounds", "1").out == ""


def test_the_help_names_all_four(avm: Avm) -> None:
    done = avm("index", "--help")
    assert [word for word in ("scan", "status", "sigs", "watch") if f"\n  {word} " in done.out] == [
        "scan", "status", "sigs", "watch",
    ]  # fmt: skip
    assert "Code:\n  index " in avm("--help").out
