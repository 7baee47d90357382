"""The wheel works on its own, in an environment outside the repository."""

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel, and the dependencies of this one (nothing is downloaded)."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    packages = next((folder / "lib").glob("python*")) / "site-packages"
    command = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "--no-deps",
        "--no-index",
        str(wheel),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    dependencies = Path(pytest.__file__).parent.parent
    (packages / "dependencies.pth").write_text(f"{dependencies}\n")
    return python


def run(python: Path, *command: str, where: Path) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    environment |= {"HOME": str(where), "XDG_DATA_HOME": str(where / "data")}
    return subprocess.run(
        [str(python), *command], cwd=where, env=environment, capture_output=True, text=True, check=False
    )


def test_the_wheel_holds_every_package_and_nothing_else(wheel: Path):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == {
        "avm", "vfs_core", "avm_schemas", "avm_builtin", "avm_handlers", "avm_suffixes", "avm_discovery",
    }  # fmt: skip
    assert not [name for name in names if "/tests/" in name]
    for top in tops:
        assert f"{top}/py.typed" in names
    assert "avm_schemas/config.schema.json" in names


def test_it_writes_searches_and_reads_outside_the_repository(python: Path, tmp_path: Path):
    written = run(python, "-m", "avm", "write", "lesson.md", "--content", "RSI > 70", where=tmp_path)
    assert written.returncode == 0, written.stderr
    found = run(python, "-m", "avm", "search", "rsi", where=tmp_path)
    assert "/memory/lesson.md" in found.stdout
    where = run(python, "-c", "import avm, vfs_core; print(avm.__file__, vfs_core.__file__)", where=tmp_path)
    assert str(ROOT) not in where.stdout


def test_no_top_level_module_called_plugins_is_installed(python: Path, tmp_path: Path):
    failed = run(python, "-c", "import plugins", where=tmp_path)
    assert failed.returncode != 0
    assert "No module named 'plugins'" in failed.stderr
