"""Environments outside the repository, with the wheel installed and the dependencies of this one."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent.parent


class Environment(NamedTuple):
    """A virtual environment; nothing that is installed into it is downloaded."""

    python: Path

    def run(self, *command: str, where: Path) -> subprocess.CompletedProcess[str]:
        """Its Python with arguments, in a directory that is its home too."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        environment |= {"HOME": str(where), "XDG_DATA_HOME": str(where / "data")}
        return subprocess.run(
            [str(self.python), *command],
            cwd=where,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def pip(self, *arguments: str) -> None:
        """Install or remove something."""
        command = [sys.executable, "-m", "pip", "--python", str(self.python), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def install(self, wheel: Path) -> None:
        """Install a wheel, without what it needs."""
        self.pip("install", "--no-deps", "--no-index", str(wheel))


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Builds the wheel of a project."""

    def build(project: Path) -> Path:
        folder = tmp_path_factory.mktemp("wheel")
        command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
        done = subprocess.run([*command, str(project)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return next(folder.glob("*.whl"))

    return build


@pytest.fixture(scope="session")
def wheel(build: Callable[[Path], Path]) -> Path:
    """The wheel of AVM."""
    return build(ROOT)


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with AVM."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    made = Environment(folder / "bin" / "python")
    made.install(wheel)
    packages = next((folder / "lib").glob("python*")) / "site-packages"
    (packages / "dependencies.pth").write_text(f"{Path(pytest.__file__).parent.parent}\n")
    return made
