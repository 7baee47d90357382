"""Running a model by sentence-transformers and torch: any model, on a GPU too, slow to start."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avm_builtin.embedders.catalogue import INSTALL_MINILM
from avm_builtin.embedders.processes import is_forked, patient_threads
from vfs_core.errors import MissingExtra, PluginError

if TYPE_CHECKING:
    from avm_builtin.embedders.arrays import Matrix

BATCH = 32
"""Texts at a time, as sentence-transformers has it."""


def stay_offline() -> None:
    """Keep Hugging Face's libraries from asking the network, which takes a minute to fail.

    Has its effect only before they are imported; whoever imported them before gets `local_files_only` as well.
    """
    os.environ["HF_HUB_OFFLINE"] = "1"


def maybe_gpu() -> bool:
    """Whether looking for a GPU is worth the import of torch (seconds). Costs microseconds."""
    if os.uname().sysname == "Darwin":
        return os.uname().machine == "arm64"
    return os.access("/dev/nvidiactl", os.R_OK) or os.access("/dev/kfd", os.R_OK)


class TorchModel:
    """A loaded sentence-transformers model. `device` is auto, cpu, cuda or mps."""

    def __init__(self, directory: Path, device: str) -> None:
        stay_offline()
        try:
            with patient_threads():
                import torch
            from sentence_transformers import SentenceTransformer
            from transformers.utils import logging
        except ImportError as error:
            raise MissingExtra(f"{directory.name}: {error}; type: {INSTALL_MINILM}") from error
        logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # transformers has no types there
        self.device = _device(torch, device)
        self._model: Any = SentenceTransformer(str(directory), device=self.device, local_files_only=True)
        # transformers keeps padding and truncation in the tokenizer, which two threads must not change at once.
        self._lock = threading.Lock()

    @property
    def dimensions(self) -> int:
        """The length of a vector."""
        return int(self._model.get_embedding_dimension())

    def encode(self, texts: Sequence[str], prompt: str | None = None, name: str | None = None) -> Matrix:
        """Vectors of shape (len(texts), dimensions), each text begun with `prompt`.

        Without one, with what the model has under `name`, if it has any.
        """
        if prompt is None:
            prompt = (self._model.prompts or {}).get(name) or None
        with self._lock:
            vectors: Matrix = self._model.encode(
                list(texts),
                prompt=prompt,
                batch_size=BATCH,
                show_progress_bar=False,
                convert_to_numpy=True,
                normalize_embeddings=True,
            )
        return vectors


def _device(torch: Any, wanted: str) -> str:
    """Where to compute. CUDA cannot be used in a child of a process that has used it."""
    present = ["cpu"]
    if torch.cuda.is_available() and not is_forked():
        present.insert(0, "cuda")
    elif torch.backends.mps.is_available() and not is_forked():
        present.insert(0, "mps")
    if wanted in ("auto", *present):
        return present[0] if wanted == "auto" else wanted
    raise PluginError(
        f"the configuration says `device: {wanted}`, and torch finds only {' and '.join(present)} here; "
        f"say `device: auto`"
    )
