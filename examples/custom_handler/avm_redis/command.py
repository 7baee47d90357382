"""The command: `avm redis`."""

from __future__ import annotations

from typing import Any

import click

from avm.errors import VfsError
from avm_redis.handler import RedisHandler


@click.command()
@click.pass_obj
def redis(app: Any) -> None:
    """List the Redis servers that the configuration mounts, with how many keys each has."""
    rules = [rule for rule in app.kernel.config.providers if rule.handler == "redis"]
    if not rules:
        click.echo("no provider has the handler 'redis'", err=True)
    for rule in rules:
        handler = None
        try:
            handler = RedisHandler(rule.config)
            click.echo(f"{rule.pattern}\t{handler.keys()} keys")
        except VfsError as error:
            click.echo(f"{rule.pattern}\t{error}", err=True)
        finally:
            if handler is not None:
                handler.close()
