"""The package of a third party: built, installed beside the wheel, discovered, tested, mounted, and uninstalled."""

import os
import shutil
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "custom_handler"
CONFIG = """providers:
  - pattern: "/redis/**"
    handler: redis
    config:
      url: "unix:///nowhere/socket"
"""


@pytest.fixture(scope="module")
def example(environment, build):
    """The environment, with the example."""
    environment.install(build(EXAMPLE))
    return environment


def configured(where: Path, text: str = CONFIG) -> tuple[str, ...]:
    file = where / "config.yaml"
    file.write_text(text)
    return "-m", "avm", "--config", str(file)


def test_it_is_discovered_and_listed_with_what_it_supplies(example, tmp_path):
    listed = example.run("-m", "avm", "plugins", where=tmp_path)
    assert listed.returncode == 0, listed.stderr
    (line,) = [line for line in listed.stdout.splitlines() if "avm-redis" in line]
    assert line.split("\t")[:3] == ["redis", "ok", "entry point of avm-redis 0.1.0"]
    assert line.split("\t")[3] == "handler redis, suffix json, command redis"
    assert "The Redis servers that are mounted" in example.run("-m", "avm", "--help", where=tmp_path).stdout


def test_its_configuration_is_checked_by_its_schema(example, tmp_path):
    checked = example.run(*configured(tmp_path), "config", "check", where=tmp_path)
    assert checked.returncode == 0, checked.stdout
    wrong = configured(tmp_path, CONFIG.replace("unix://", "http://").replace("url", "uri"))
    checked = example.run(*wrong, "config", "check", where=tmp_path)
    assert checked.returncode == 7
    assert "config.yaml:5: providers[0].config.uri" in checked.stdout, checked.stdout
    described = example.run("-m", "avm", "read", "/.avm/handlers/redis", where=tmp_path).stdout
    assert "- `url` (string), required: The server" in described


def test_a_server_that_is_not_there_is_a_clear_error(example, tmp_path):
    read = example.run(*configured(tmp_path), "read", "/redis/a", where=tmp_path)
    assert read.returncode == 7
    assert "the Redis server cannot be reached" in read.stderr


def test_its_own_tests_pass_against_a_real_server(example, tmp_path):
    if shutil.which("redis-server") is None:
        pytest.skip("needs a Redis server; type: sudo apt-get install redis-server")
    tests = tmp_path / "tests"
    shutil.copytree(EXAMPLE / "tests", tests)
    shutil.copy(EXAMPLE / "pyproject.toml", tmp_path)
    done = example.run("-m", "pytest", "-q", "-p", "no:cacheprovider", str(tests), where=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout.splitlines()[-1]


def test_uninstalled_the_error_says_what_is_missing(example, build, tmp_path):
    example.pip("uninstall", "--yes", "avm-redis")
    try:
        checked = example.run(*configured(tmp_path), "config", "check", where=tmp_path)
        assert "config.yaml:3: providers[0].handler: there is no handler 'redis'" in checked.stdout, (
            checked.stdout
        )
        read = example.run(*configured(tmp_path), "read", "/redis/a", where=tmp_path)
        assert read.returncode == 7
        assert "there is no handler named 'redis'" in read.stderr
        written = example.run(*configured(tmp_path), "write", "a", "--content", "x", where=tmp_path)
        assert written.returncode == 0, written.stderr
    finally:
        example.install(build(EXAMPLE))


def test_it_is_what_its_page_says(example, tmp_path):
    assert {path.name for path in (EXAMPLE / "avm_redis").iterdir() if path.name != "__pycache__"} == {
        "__init__.py", "handler.py", "suffix.py", "command.py", "config.schema.json", "py.typed",
    }  # fmt: skip
    page = (EXAMPLE / "README.md").read_text()
    for file in ("handler.py", "suffix.py", "command.py", "config.schema.json"):
        assert f"`avm_redis/{file}`" in page
    assert os.access(EXAMPLE / "pyproject.toml", os.R_OK)
