"""The ONNX export of a sentence-transformers model: made once, in a process of its own, kept in the user's cache.

It is a directory with the graph (`model.onnx`) and beside it the weights (`weights.bin`), which onnxruntime then maps
instead of reading them: 120 ms less at each start. The graph is a BERT with mean pooling over the tokens and unit
length, from token ids and mask of shape (texts, tokens) to vectors of shape (texts, dimensions).
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from vfs_core.config_places import xdg

INPUTS = ("input_ids", "attention_mask")
GRAPH = "model.onnx"
_WEIGHTS = "weights.bin"
_IN_THE_GRAPH = 1024
"""Bytes: smaller constants stay in the graph."""
_OPSET = 17
_LAYOUT = 1
"""Raised when what the export computes or consists of changes."""
_TIMEOUT = 600.0
"""Seconds. It takes some ten on two cores, most of them for importing torch."""
_RUN = "from avm_builtin.embedders.onnx_export import main; main()"


class CannotExport(Exception):
    """There is no ONNX file and none can be made; the message is the reason."""


def place(name: str) -> Path:
    """The directory of the export called `name`, there or not. Raises CannotExport if there is no home."""
    cache = xdg("XDG_CACHE_HOME", ".cache")
    if cache is None:
        raise CannotExport("there is no home directory to keep an ONNX file in")
    return cache / "avm" / "onnx" / f"{name}-{_LAYOUT}"


def exported(model: Callable[[], Path], name: str) -> Path:
    """The ONNX graph of the model called `name`, made if it is not there yet from the directory that `model` gives.

    Processes that want it at the same time wait for the one that makes it. It appears whole or not at all.
    Raises CannotExport.
    """
    target = place(name)
    if target.exists():
        return target / GRAPH
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _alone(target.with_suffix(".lock")):
            if not target.exists():
                _export(model(), target)
    except OSError as error:
        raise CannotExport(f"{target.parent} cannot be written: {error.strerror or error}") from error
    return target / GRAPH


def discard(name: str) -> None:
    """Remove an export that cannot be used. Raises CannotExport if that cannot be done."""
    try:
        shutil.rmtree(place(name))
    except FileNotFoundError:
        pass  # another process was first
    except OSError as error:
        raise CannotExport(f"{place(name)} is damaged and cannot be removed: {error.strerror}") from error


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        with contextlib.suppress(OSError):  # not on every network file system; then two may do the same work
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _export(model: Path, target: Path) -> None:
    logging.getLogger("avm").warning("making %s from the model, once: this takes some 10 s", target)
    temporary = Path(tempfile.mkdtemp(prefix=f"{target.name}.", suffix=".tmp", dir=target.parent))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "HF_HUB_OFFLINE": "1"}
    try:
        done = subprocess.run(
            [sys.executable, "-c", _RUN, str(model), str(temporary)],
            env=environment,
            cwd=target.parent,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=_TIMEOUT,
        )
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"]
            raise CannotExport(f"the export to ONNX failed: {lines[-1]}")
        for name in (GRAPH, _WEIGHTS):
            with (temporary / name).open("rb") as stream:
                os.fsync(stream.fileno())
        temporary.rename(target)
    except subprocess.TimeoutExpired as error:
        raise CannotExport(f"the export to ONNX took over {_TIMEOUT:.0f} s") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)  # it has been renamed, or the reason is told already


def main() -> None:
    """Export the model in the directory argv[1] into the directory argv[2]: the child's side."""
    import warnings

    # torch calls this exporter old. The new one needs four times as long and one package more, for the same graph.
    warnings.simplefilter("ignore")
    import onnx
    import torch
    from transformers import AutoModel

    class Embedding(torch.nn.Module):
        """The model with what comes after it."""

        def __init__(self, model: torch.nn.Module) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            """Mean over the tokens that are there, at length 1."""
            hidden = self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
            mean = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
            return torch.nn.functional.normalize(mean, dim=1)

    source, target = sys.argv[1], Path(sys.argv[2])
    model = AutoModel.from_pretrained(source, local_files_only=True, attn_implementation="eager").eval()
    example = torch.ones(2, 16, dtype=torch.int64)
    torch.onnx.export(
        Embedding(model),
        (example, example),
        str(target / "whole"),
        input_names=list(INPUTS),
        output_names=["vectors"],
        dynamic_axes={**{name: {0: "texts", 1: "tokens"} for name in INPUTS}, "vectors": {0: "texts"}},
        opset_version=_OPSET,
        dynamo=False,
    )
    onnx.save_model(
        onnx.load(str(target / "whole")),
        str(target / GRAPH),
        save_as_external_data=True,
        location=_WEIGHTS,
        size_threshold=_IN_THE_GRAPH,
    )
    (target / "whole").unlink()
