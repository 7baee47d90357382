"""Redis for AVM: a handler, a suffix and a command. Registers them; imports none, so that AVM starts fast."""

from __future__ import annotations

from avm import CommandSpec, HandlerSpec, SuffixSpec, hookimpl


@hookimpl
def avm_register_handlers() -> list[HandlerSpec]:
    """`handler: redis` in config.yaml."""
    return [
        HandlerSpec(
            "redis",
            "avm_redis.handler:RedisHandler",
            "Keys of a Redis server",
            config_schema="avm_redis:config.schema.json",
            requires="pip install avm-redis",
        )
    ]


@hookimpl
def avm_register_suffixes() -> list[SuffixSpec]:
    """`PATH:json?at=...` for every path."""
    return [SuffixSpec("json", "avm_redis.suffix:Json", "JSON, indented; `?at=a.b[0]` for a part of it")]


@hookimpl
def avm_register_commands() -> list[CommandSpec]:
    """`avm redis`."""
    return [CommandSpec("redis", "avm_redis.command:redis", "The Redis servers that are mounted")]
