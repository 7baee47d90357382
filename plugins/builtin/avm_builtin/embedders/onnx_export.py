"""The ONNX file of a sentence-transformers model: made once, in a process of its own, kept in the user's cache.

`python -c '…main()' MODEL FILE` exports: a BERT with mean pooling over the tokens and unit length, from token ids
and mask of shape (texts, tokens) to vectors of shape (texts, dimensions).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from vfs_core.config_places import xdg

INPUTS = ("input_ids", "attention_mask")
_OPSET = 17
_LAYOUT = 1
"""Raised when what the file computes changes."""
_TIMEOUT = 600.0
"""Seconds. It takes some ten on two cores, most of them for importing torch."""
_RUN = "from avm_builtin.embedders.onnx_export import main; main()"


class CannotExport(Exception):
    """There is no ONNX file and none can be made; the message is the reason."""


def place(name: str) -> Path:
    """Where the file of the model called `name` is or will be. Raises CannotExport if there is no home."""
    cache = xdg("XDG_CACHE_HOME", ".cache")
    if cache is None:
        raise CannotExport("there is no home directory to keep an ONNX file in")
    return cache / "avm" / "onnx" / f"{name}-{_LAYOUT}.onnx"


def exported(model: Callable[[], Path], name: str) -> Path:
    """The ONNX file of the model called `name`, made if it is not there yet from the directory that `model` gives.

    Processes that want it at the same time wait for the one that makes it. It appears whole or not at all.
    Raises CannotExport.
    """
    target = place(name)
    if target.exists():
        return target
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _alone(target.with_suffix(".lock")):
            if not target.exists():
                _export(model(), target)
    except OSError as error:
        raise CannotExport(f"{target.parent} cannot be written: {error.strerror or error}") from error
    return target


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
    temporary = target.with_name(f"{target.name}.{os.getpid()}.tmp")
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
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.replace(target)
    except subprocess.TimeoutExpired as error:
        raise CannotExport(f"the export to ONNX took over {_TIMEOUT:.0f} s") from error
    finally:
        temporary.unlink(missing_ok=True)


def main() -> None:
    """Export: the child's side."""
    import warnings

    # torch calls this exporter old. The new one needs four times as long and one package more, for the same graph.
    warnings.simplefilter("ignore")
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

    source, target = sys.argv[1:]
    model = AutoModel.from_pretrained(source, local_files_only=True, attn_implementation="eager").eval()
    example = torch.ones(2, 16, dtype=torch.int64)
    torch.onnx.export(
        Embedding(model),
        (example, example),
        target,
        input_names=list(INPUTS),
        output_names=["vectors"],
        dynamic_axes={**{name: {0: "texts", 1: "tokens"} for name in INPUTS}, "vectors": {0: "texts"}},
        opset_version=_OPSET,
        dynamo=False,
    )
