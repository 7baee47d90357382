"""`sentence-transformers`: any such model that is on this machine, by directory or by its name in the cache."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

from avm_builtin.embedders.arrays import encoded
from avm_builtin.embedders.catalogue import INSTALL_MINILM
from avm_builtin.embedders.installed import missing, sha256
from avm_builtin.embedders.languages import language
from avm_builtin.embedders.processes import PerProcess, compute
from avm_builtin.embedders.torch_model import TorchModel, stay_offline
from vfs_core.embedding import Embedder
from vfs_core.errors import Invalid, MissingExtra, PluginError
from vfs_core.types import JSON

_BATCH = 256
_WEIGHTS = ("*.safetensors", "*.bin")
"""Of these only the first that a model has is loaded."""


class LocalModel(Embedder):
    """Options: `model`, `device` (auto, cpu, cuda, mps), `query_prefix`, `document_prefix`.

    Nothing is ever downloaded. `dimensions` loads the model, `fingerprint` reads its files.
    """

    reason = "chosen by the configuration"

    def __init__(self, config: Mapping[str, JSON] | None = None) -> None:
        """Raises Invalid without `model`, PluginError if there is no such model, MissingExtra without torch."""
        super().__init__(config)
        self._name = str(self.config.get("model") or "")
        if not self._name:
            raise Invalid(
                "the embedder 'sentence-transformers' needs `model:`, a directory or a name in the Hugging Face cache"
            )
        absent = missing("sentence_transformers", "torch")
        if absent:
            raise MissingExtra(
                f"the embedder 'sentence-transformers' needs {' and '.join(absent)}, which is not installed; "
                f"type: {INSTALL_MINILM}"
            )
        self._directory = _find(self._name)
        self._model = PerProcess(self._load)

    @cached_property
    def fingerprint(self) -> str:  # type: ignore[override]  # found out when it is asked for
        """Name, hash of all files that say what is computed, and the prefixes."""
        prefixes = f"{self._prefix('query')!r}, {self._prefix('document')!r}"
        return f"{Path(self._name).name} {_hash(self._directory)[:16]} prefixes {prefixes}"

    @cached_property
    def dimensions(self) -> int:  # type: ignore[override]  # as above
        """The length of a vector, as the model says."""
        return compute(lambda: self._model.get().dimensions)

    def encode(self, texts: Sequence[str], kind: Literal["query", "document"]) -> memoryview:
        """As the contract says. Raises PluginError if the model cannot be loaded."""

        def work() -> memoryview:
            model = self._model.get()
            return encoded(
                texts, model.dimensions, _BATCH, lambda run: model.encode(run, self._prefix(kind), kind)
            )

        return compute(work)

    def scale(self, text: str) -> str:
        """One for each language: whether a model has learnt to compare across them is not known."""
        return language(text)

    def _prefix(self, kind: Literal["query", "document"]) -> str | None:
        prefix = self.config.get(f"{kind}_prefix")
        return None if prefix is None else str(prefix)

    def _load(self) -> TorchModel:
        try:
            return TorchModel(self._directory, str(self.config.get("device", "auto")))
        except (OSError, ValueError, KeyError) as error:
            raise PluginError(
                f"{self._directory} is no model that sentence-transformers can load: {error}"
            ) from error


def _find(name: str) -> Path:
    directory = Path(name).expanduser()
    if directory.is_dir():
        return directory.resolve()
    stay_offline()
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    for repository in (name,) if "/" in name else (f"sentence-transformers/{name}", name):
        try:
            return Path(snapshot_download(repository, local_files_only=True))
        except (LocalEntryNotFoundError, HFValidationError):
            continue
    raise PluginError(
        f"the model {name!r} is not on this machine: there is no such directory, and it is not in the Hugging Face "
        f"cache. AVM downloads nothing; where there is a network, type: hf download {name}"
    )


def _hash(directory: Path) -> str:
    """SHA-256 over the names and contents of weights, configurations and vocabularies."""
    weights = next((found for kind in _WEIGHTS if (found := list(directory.rglob(kind)))), [])
    others = [file for kind in ("*.json", "*.txt", "*.model") for file in directory.rglob(kind)]
    digest = hashlib.sha256()
    for file in sorted({*weights, *others}):
        digest.update(f"{file.relative_to(directory)} {sha256(file)}\n".encode())
    return digest.hexdigest()
