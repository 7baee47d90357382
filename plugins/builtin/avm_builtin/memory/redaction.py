"""Secrets in texts: found by their form, replaced by what they were.

What is remembered is shared with other agents and shown to language models, neither of which should know a key.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Redacted(NamedTuple):
    """A text without its secrets, and of what kinds they were, in order."""

    text: str
    kinds: tuple[str, ...]


_KEY = r"(?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?"
_FORMS: tuple[tuple[str, str], ...] = (
    ("private key", rf"-----BEGIN {_KEY}-----.*?(?:-----END {_KEY}-----|\Z)"),
    ("GitHub token", r"\b(?:gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{22,255})"),
    ("GitLab token", r"\bglpat-[A-Za-z0-9_-]{20,}"),
    ("Anthropic key", r"\bsk-ant-[A-Za-z0-9_-]{20,}"),
    ("OpenAI key", r"\bsk-(?:proj-|svcacct-|admin-)?[A-Za-z0-9_-]{20,}"),
    ("AWS access key", r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    ("Google API key", r"\bAIza[A-Za-z0-9_-]{35}"),
    ("Slack token", r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}"),
    ("Stripe key", r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}"),
    ("npm token", r"\bnpm_[A-Za-z0-9]{36}\b"),
    ("PyPI token", r"\bpypi-[A-Za-z0-9_-]{50,}"),
    ("Hugging Face token", r"\bhf_[A-Za-z0-9]{30,}"),
    ("JSON web token", r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"),
    ("password", r"(?<=://)[^/\s:@]{1,100}:[^/\s:@]{3,100}(?=@)"),
)
_FORM = re.compile(
    "|".join(f"(?P<form{number}>{pattern})" for number, (_, pattern) in enumerate(_FORMS)), re.DOTALL
)
# `password: x`, `API_KEY=x`, `"client_secret": "x"`; the value must look like one: no word of plain prose.
_NAMED = re.compile(
    r"""(?P<name>(?<![A-Za-z])(?:[A-Za-z0-9]+[_-])*
            (?:password|passwd|passphrase|secret|api[_-]?key|access[_-]?key|auth[_-]?token|access[_-]?token|token))
        (?P<sign>["']?\s*[:=]\s*)
        (?P<quote>["']?)
        (?P<value>(?=[^\s"']*[0-9!@#$%^&*+/=])[^\s"',;<>\[\](){}]{8,})(?P=quote)""",
    re.VERBOSE | re.IGNORECASE,
)


_MARKS = (
    "-----BEGIN", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "sk-", "AKIA", "ASIA", "AIza", "xox",
    "k_live_", "k_test_", "npm_", "pypi-", "hf_", "eyJ", "://",
)  # fmt: skip
_NAMES = ("pass", "secret", "key", "token")
"""What a text has in it if it has a secret: looked for first, since most texts have none."""


def redact(text: str) -> Redacted:
    """The text with each secret replaced by `[redacted: what it was]`."""
    kinds: list[str] = []
    lower = text.lower()

    def by_form(match: re.Match[str]) -> str:
        group = match.lastgroup
        assert group is not None
        kinds.append(_FORMS[int(group[4:])][0])
        return f"[redacted: {kinds[-1]}]"

    def by_name(match: re.Match[str]) -> str:
        kinds.append(match["name"].lower())
        return f"{match['name']}{match['sign']}{match['quote']}[redacted: {kinds[-1]}]{match['quote']}"

    if any(mark in text for mark in _MARKS):
        text = _FORM.sub(by_form, text)
    if any(name in lower for name in _NAMES):
        text = _NAMED.sub(by_name, text)
    return Redacted(text, tuple(kinds))
