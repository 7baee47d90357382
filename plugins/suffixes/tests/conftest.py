"""What the tests of suffixes share: a kernel with an empty store."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from vfs_core.kernel import Kernel


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Kernel]:
    with Kernel(None, tmp_path / "avm.db") as opened:
        yield opened
