"""A Redis server of the tests' own, on a socket in a temporary directory."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The URL of a server that keeps nothing and ends with the tests."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("needs a Redis server; type: sudo apt-get install redis-server")
    with tempfile.TemporaryDirectory(prefix="avm-redis.") as folder:  # a socket's path must be short
        socket = Path(folder) / "s"
        command = [program, "--port", "0", "--unixsocket", str(socket), "--save", "", "--appendonly", "no"]
        process = subprocess.Popen(
            [*command, "--dir", folder], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            for _ in range(500):
                if socket.exists():
                    break
                time.sleep(0.01)
            yield f"unix://{socket}"
        finally:
            process.terminate()
            process.wait()


@pytest.fixture
def client(server: str) -> Iterator[redis.Redis]:
    """A client of the emptied server."""
    with redis.Redis.from_url(server) as client:
        client.flushall()
        yield client
