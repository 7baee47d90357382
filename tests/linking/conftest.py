"""A store in which two agents write to each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vfs_core.kernel import Kernel
from vfs_core.session import Session


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Kernel]:
    with Kernel(db=tmp_path / "avm.db") as opened:
        yield opened


@pytest.fixture
def ana(kernel: Kernel) -> Session:
    return kernel.session("ana")


@pytest.fixture
def bob(kernel: Kernel) -> Session:
    return kernel.session("bob")


@pytest.fixture
def mentioned() -> Callable[[Session, str], list[str]]:
    """The paths that what a note says links it to, as a session sees them."""

    def paths(session: Session, path: str) -> list[str]:
        return [link.target for link in session.links(path) if link.kind == "mention"]

    return paths
