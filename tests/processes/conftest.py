"""Fixtures for tests with several real processes: a crew of workers that start together."""

from __future__ import annotations

import json
import mmap
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

WORKERS = Path(__file__).with_name("workers")


class Worker:
    """A child process that runs one task of a worker program."""

    def __init__(self, program: str, task: str, arguments: dict[str, Any]) -> None:
        self.task = task
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  (lives as long as the worker)
        self.process = subprocess.Popen(
            [sys.executable, str(WORKERS / f"{program}.py"), task, json.dumps(arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )

    def wait_ready(self) -> None:
        """Until it is set up and waits for `go`."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line == b"ready\n", f"{self.task} did not start: {self.errors()}"

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"go\n")
        self.process.stdin.flush()

    def result(self, timeout: float = 120.0) -> Any:
        """What the task returned. Fails the test, with what it wrote to stderr, if it failed."""
        out, _ = self.process.communicate(timeout=timeout)
        assert self.process.returncode == 0, (
            f"{self.task} ended with {self.process.returncode}: {self.errors()}"
        )
        return json.loads(out.splitlines()[-1])

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.process.kill()
        self.process.wait()

    def errors(self) -> str:
        self._errors.seek(0)
        return self._errors.read().decode()

    def close(self) -> None:
        self.kill()
        for stream in (self.process.stdin, self.process.stdout, self._errors):
            if stream is not None:
                stream.close()


class Crew:
    """Workers of one program."""

    def __init__(self) -> None:
        self.members: list[Worker] = []

    def start(self, program: str, task: str, **arguments: Any) -> Worker:
        worker = Worker(program, task, arguments)
        self.members.append(worker)
        return worker

    def launch(self, program: str, task: str, **arguments: Any) -> Worker:
        """Start one, and let it go at once."""
        worker = self.start(program, task, **arguments)
        worker.wait_ready()
        worker.go()
        return worker

    def run(self, program: str, calls: list[tuple[str, dict[str, Any]]], timeout: float = 120.0) -> list[Any]:
        """Start workers, let all go at the same moment, and return what they return."""
        workers = [self.start(program, task, **arguments) for task, arguments in calls]
        for worker in workers:
            worker.wait_ready()
        for worker in workers:
            worker.go()
        deadline = time.monotonic() + timeout
        return [worker.result(max(1.0, deadline - time.monotonic())) for worker in workers]

    @staticmethod
    def words(path: Path, count: int) -> memoryview:
        """So many 64-bit words in a new file, all 0, for workers to share."""
        path.write_bytes(bytes(8 * count))
        with path.open("r+b") as file:
            return memoryview(mmap.mmap(file.fileno(), 0)).cast("Q")

    def close(self) -> None:
        for member in self.members:
            member.close()


@pytest.fixture
def crew() -> Iterator[Crew]:
    members = Crew()
    yield members
    members.close()
