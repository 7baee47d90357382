"""A store with several agents' memories."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from avm import AVM


@pytest.fixture
def avm(tmp_path: Path) -> Iterator[AVM]:
    with AVM(db=tmp_path / "avm.db", agent="trader") as opened:
        yield opened
