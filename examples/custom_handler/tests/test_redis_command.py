"""The command, through the real `avm`."""

import subprocess
import sys


def test_it_lists_the_servers_and_their_keys(server, client, tmp_path):
    client.mset({"a": 1, "b": 2})
    config = tmp_path / "config.yaml"
    config.write_text(
        "providers:\n"
        f"  - {{pattern: '/here/**', handler: redis, config: {{url: '{server}'}}}}\n"
        f"  - {{pattern: '/gone/**', handler: redis, config: {{url: 'unix://{tmp_path}/nothing'}}}}\n"
    )
    command = [
        sys.executable,
        "-m",
        "avm",
        "--config",
        str(config),
        "--db",
        str(tmp_path / "avm.db"),
        "redis",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stdout == "/here/**\t2 keys\n"
    assert "/gone/**" in done.stderr and "cannot be reached" in done.stderr
