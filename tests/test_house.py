"""The house itself: what ships, what is pinned, what the build files say. Not what the code does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import avm

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
SHIPPED = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
TARGETS = ("help", "demo", "test", "lint", "pyright", "bench", "soak", "docs", "test-root", "clean")

# Put together here, so that this file does not name them either.
REGISTRY_HOSTS = [
    ".".join(parts)
    for parts in [
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("yarnpkg", "com"),
        ("deb", "debian", "org"),
        ("security", "debian", "org"),
        ("archive", "ubuntu", "com"),
        ("crates", "io"),
        ("proxy", "golang", "org"),
        ("docker", "io"),
        ("ghcr", "io"),
    ]
]


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the repository, free of the make and pytest that may be running this one."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS", "PYTEST_"))}
    return subprocess.run(
        command,
        cwd=ROOT,
        env=inherited | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def tracked_files() -> list[Path]:
    """What is in the repository, or would be with the next `git add`."""
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    assert listed.returncode == 0, listed.stderr
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


# --- what ships ----------------------------------------------------------------------------------


@pytest.mark.parametrize("package", SHIPPED)
def test_each_shipped_package_exists_and_is_typed(package: str) -> None:
    assert (ROOT / package / "__init__.py").is_file()
    assert (ROOT / package / "py.typed").is_file()


def test_each_package_under_plugins_and_schemas_ships() -> None:
    found = {str(p.relative_to(ROOT)) for p in (*ROOT.glob("plugins/*/avm_*"), *ROOT.glob("schemas/avm_*"))}
    assert found == {package for package in SHIPPED if "/" in package}


def test_the_code_and_the_distribution_have_one_version() -> None:
    assert avm.__version__ == PYPROJECT["project"]["version"]


@pytest.mark.parametrize("target", [*PYPROJECT["project"]["scripts"].values()])
def test_each_console_script_points_at_a_callable(target: str) -> None:
    module, function = target.split(":")
    code = f"import importlib; assert callable(getattr(importlib.import_module({module!r}), {function!r}))"
    done = run(sys.executable, "-c", code)
    assert done.returncode == 0, done.stderr


def test_the_licence_is_present_and_the_declared_one() -> None:
    text = (ROOT / "LICENSE").read_text("utf-8")
    assert text.startswith("MIT License\n\nCopyright (c) 2026 The AVM developers\n")
    assert PYPROJECT["project"]["license"] == "MIT"
    assert PYPROJECT["project"]["license-files"] == ["LICENSE"]


@pytest.mark.parametrize(
    "name", ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CODE_OF_CONDUCT.md", "CHANGELOG.md"]
)
def test_the_house_papers_are_present(name: str) -> None:
    assert (ROOT / name).read_text("utf-8").startswith("# ")


# --- what the repository may and may not say -----------------------------------------------------


def test_no_file_names_a_package_registry() -> None:
    """Every machine reaches its registries in its own way; a name in a file would tie us to one."""
    host = re.compile("|".join(map(re.escape, REGISTRY_HOSTS)), re.IGNORECASE)
    guilty = []
    for path in tracked_files():
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue  # not a text file
        guilty += [f"{path.relative_to(ROOT)}: {match.group()}" for match in host.finditer(text)]
    assert guilty == []


def test_each_news_fragment_has_a_name_that_towncrier_understands() -> None:
    shape = re.compile(r"(\d+|\+[\w-]+)\.(feature|bugfix|doc|removal|misc)(\.\d+)?\.md")
    names = [p.name for p in (ROOT / "news").iterdir() if p.name not in {"README.md", ".gitignore"}]
    assert [name for name in names if not shape.fullmatch(name)] == []


def test_the_changelog_has_the_place_where_news_are_gathered() -> None:
    assert "<!-- towncrier release notes start -->\n" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_each_decision_is_numbered_once_and_in_the_index() -> None:
    folder = ROOT / "docs" / "decisions"
    records = sorted(p.name for p in folder.glob("*.md") if p.name != "README.md")
    index = (folder / "README.md").read_text("utf-8")
    assert [name for name in records if not re.fullmatch(r"\d{4}-[a-z0-9-]+\.md", name)] == []
    assert len({name[:4] for name in records}) == len(records)
    assert [name for name in records if f"({name})" not in index] == []


# --- the build files -----------------------------------------------------------------------------


def test_ci_is_executable_and_valid_bash() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    done = run("bash", "-n", str(script))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("target", TARGETS)
def test_each_make_target_is_sound(target: str) -> None:
    done = run("make", "--dry-run", target)
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr


def test_make_alone_lists_the_targets() -> None:
    listed = re.findall(r"^  make (\S+) +\S", run("make").stdout, re.MULTILINE)
    assert listed == list(TARGETS)


@pytest.mark.parametrize(
    ("python", "complaint"),
    [("no-such-python", "not found. Install Python 3.10"), ("{old}", "needs Python 3.10 or newer")],
)
def test_an_unusable_python_is_named_with_its_cure(tmp_path: Path, python: str, complaint: str) -> None:
    old = tmp_path / "python3.8"
    old.write_text('#!/bin/sh\ntest "$1" = -V && echo Python 3.8.18\nexit 1\n', "utf-8")
    old.chmod(0o755)
    done = run("make", "demo", f"VENV={tmp_path / 'venv'}", "PYTHON=" + python.format(old=old))
    assert done.returncode != 0
    assert complaint in done.stderr
    assert not (tmp_path / "venv").exists()


@pytest.mark.parametrize("python", PYTHONS)
def test_the_constraints_pin_each_dependency_within_its_range(python: str) -> None:
    project = PYPROJECT["project"]
    wanted = [
        *project["dependencies"],
        *(r for name, extra in project["optional-dependencies"].items() if name != "all" for r in extra),
        *PYPROJECT["dependency-groups"]["dev"],
        *PYPROJECT["build-system"]["requires"],
    ]
    here = {"python_version": python, "python_full_version": f"{python}.0"}
    pins: dict[str, str] = {}
    for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        pin = Requirement(line)
        assert re.fullmatch(r"==[^,*]+", str(pin.specifier)), f"not exact: {line}"
        if pin.marker is None or pin.marker.evaluate(here):
            assert canonicalize_name(pin.name) not in pins, f"pinned twice for Python {python}: {pin.name}"
            pins[canonicalize_name(pin.name)] = str(pin.specifier)[2:]
    for requirement in map(Requirement, wanted):
        pinned = pins.get(canonicalize_name(requirement.name))
        assert pinned is not None, f"constraints.txt lacks {requirement.name} for Python {python}"
        assert requirement.specifier.contains(pinned), f"{requirement} excludes the pinned {pinned}"


# --- how every test runs -------------------------------------------------------------------------


def test_a_test_sees_nothing_of_the_person_who_runs_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    assert Path.home().is_relative_to(tmp_path_factory.getbasetemp())
    assert list(Path.home().iterdir()) == []
    assert [n for n in os.environ if n.startswith("XDG_") or n in {"AVM_DB", "AVM_AGENT", "AVM_CONFIG"}] == []


@pytest.mark.parametrize(
    ("body", "no_skip", "expected"),
    [
        ("def test_x(): pytest.skip('why')", "1", 1),
        ("pytest.skip('why', allow_module_level=True)", "1", 1),
        ("def test_x(): pytest.skip('why')", "0", 0),
        ("def test_x(): pass", "1", 0),
    ],
)
def test_a_skip_fails_the_session_where_none_is_allowed(
    tmp_path: Path, body: str, no_skip: str, expected: int
) -> None:
    (tmp_path / "conftest.py").write_text((ROOT / "conftest.py").read_text("utf-8"), "utf-8")
    (tmp_path / "test_it.py").write_text(f"import pytest\n{body}\n", "utf-8")
    pytest_here = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--rootdir={tmp_path}")
    done = run(*pytest_here, str(tmp_path), AVM_NO_SKIP=no_skip, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    assert done.returncode == expected, done.stdout
    assert ("allows none" in done.stdout) == bool(expected)
    assert re.search(r"=+ \d (passed|skipped) in ", done.stdout.splitlines()[-1])
