"""What the tests of the embedders share: MiniLM's ONNX file, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from avm_builtin.embedders.minilm import MiniLM


@pytest.fixture(scope="session")
def onnx_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An XDG cache directory with the ONNX file of MiniLM in it."""
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache))
        MiniLM({"engine": "onnx"}).encode(["made"], "query")
    return cache
