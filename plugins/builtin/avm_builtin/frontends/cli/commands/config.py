"""`config check`, `config show`, `config schema`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from avm_builtin.frontends.cli.output import counted, note, printable, put, put_json
from avm_builtin.frontends.cli.state import App
from vfs_core.errors import ConfigError, Problem

_WRONG = 7


@click.group()
def config() -> None:
    """Check and show the configuration."""


@config.command()
@click.argument("file", type=click.Path(), required=False)
@click.pass_context
def check(context: click.Context, file: str | None) -> None:
    """Say everything that is wrong with FILE (default: the configuration in force), with line and cure.

    The exit code is 7 if it cannot be used, or if a rule in it can never work. Rules that never match, handlers that
    nobody supplies and variables that are not set are warnings.
    """
    app = context.find_object(App)
    assert app is not None
    path, problems, fatal = examine(app, file)
    if app.as_json:
        described = [{"where": p.where, "key": p.key, "what": p.what, "cure": p.cure} for p in problems]
        put_json({"file": None if path is None else str(path), "usable": not fatal, "problems": described})
    else:
        for problem in problems:
            put(printable(str(problem)))
        if path is None:
            note("there is no configuration; the defaults hold (avm init writes one)")
        elif not problems:
            note(f"{path} is right")
        else:
            note(counted(len(problems), "problem" if fatal else "warning"))
    context.exit(_WRONG if fatal else 0)


@config.command()
@click.pass_obj
def show(app: App) -> None:
    """Print what is in force, defaults included, without secrets."""
    from vfs_core.config import config_summary

    kernel = app.kernel
    summary = config_summary(kernel.config)
    summary["storage"]["path"] = kernel.location
    if app.as_json:
        put_json(summary)
        return
    import yaml

    put(yaml.safe_dump(summary, sort_keys=False, allow_unicode=True).rstrip())


@config.command()
@click.pass_obj
def schema(app: App) -> None:
    """Print the JSON schema of config.yaml, for editors, with what each installed handler takes."""
    from avm_schemas import load
    from vfs_core.config_check import merged_schema

    put(json.dumps(merged_schema(load("config"), app.registry), indent=2, ensure_ascii=False))


def examine(app: App, file: str | None = None) -> tuple[Path | None, list[Problem], bool]:
    """The file, all that is wrong with it, and whether it, or a rule in it, cannot be used."""
    from vfs_core.config import check_with_handlers, find_config, load_config
    from vfs_core.plugins import Registry

    try:
        path = find_config(file if file is not None else app.config)
    except ConfigError as error:
        return None, list(error.problems), True
    registry = Registry()
    try:
        plugins = load_config(path).plugins
        registry = Registry(plugins.load, plugins.disable, plugins.override)
        load_config(path, registry)
        usable = True
    except ConfigError:
        usable = False
    problems, never_works = check_with_handlers(path, registry)
    return path, problems, never_works or not usable
