"""Remembering and recalling need no network, also across languages: a fresh process without one does both."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

REMEMBER_AND_RECALL = """
import socket, sys
try:
    socket.create_connection(("192.0.2.1", 80), timeout=5)
except OSError as error:
    print(error)
else:
    sys.exit("there is a network")
from avm import AVM
with AVM(db=sys.argv[1], agent="trader") as avm:
    memory = avm.agent_memory()
    for note in ("中东局势紧张", "明天上午九点去看牙医", "The landlord wants more money from July on.",
                 "Our cat sleeps all day on the sofa.", "红酒要放在阴凉的地方"):
        memory.remember(note, namespace="shared")
    for query in ("Iran conflict news", "伊朗军事冲突"):
        print(memory.recall(query).splitlines()[4])
"""


def _without_network() -> list[str]:
    """The command that runs another without a network."""
    command = ["unshare", "--net" if os.geteuid() == 0 else "--map-root-user", "--net"]
    try:
        done = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no `unshare` here (util-linux)")
    if done.returncode:
        pytest.skip(f"this user may not cut itself off from the network: {done.stderr.strip()}")
    return command


def test_a_process_without_a_network_remembers_and_recalls_across_languages(
    onnx_cache: Path, tmp_path: Path
) -> None:
    environment = {
        "HOME": str(tmp_path),
        "XDG_CACHE_HOME": str(onnx_cache),
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run(
        [*_without_network(), sys.executable, "-c", REMEMBER_AND_RECALL, str(tmp_path / "avm.db")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    unreachable, *first = done.stdout.splitlines()
    assert "unreachable" in unreachable
    assert first == ["中东局势紧张", "中东局势紧张"]
