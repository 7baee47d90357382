"""Which language a text is in, as far as embedding needs it: English, or else the script.

A rule of thumb, fast and the same everywhere: letters tell the script, and the commonest words tell English from
other languages in Latin letters. It is no language detector; a wrong answer costs some ranking, not a hit.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter

ENGLISH, LATIN, CHINESE, JAPANESE = "english", "latin", "chinese", "japanese"

_SAMPLE = 1000
"""Characters that are looked at."""
_SCRIPTS = (
    (0x0000, LATIN), (0x0370, "greek"), (0x0400, "cyrillic"), (0x0530, "armenian"), (0x0590, "hebrew"),
    (0x0600, "arabic"), (0x0780, "other"), (0x0900, "devanagari"), (0x0980, "bengali"), (0x0A00, "other"),
    (0x0B80, "tamil"), (0x0C00, "telugu"), (0x0C80, "other"), (0x0E00, "thai"), (0x0E80, "other"),
    (0x10A0, "georgian"), (0x1100, "korean"), (0x1200, "other"), (0x1E00, LATIN), (0x1F00, "greek"),
    (0x2000, "other"), (0x2E80, CHINESE), (0x3040, JAPANESE), (0x3100, CHINESE), (0x3130, "korean"),
    (0x3190, CHINESE), (0x31F0, JAPANESE), (0x3200, CHINESE), (0xA000, "other"), (0xAC00, "korean"),
    (0xD7B0, "other"), (0xF900, CHINESE), (0xFB00, "other"), (0xFF10, LATIN), (0xFF66, JAPANESE),
    (0xFFA0, "other"), (0x20000, CHINESE), (0x32000, "other"),
)  # fmt: skip
"""Where scripts begin among the code points (Unicode's blocks)."""
_STARTS = [start for start, _ in _SCRIPTS]
_LETTERS_PER_IDEOGRAPH = 3
"""How many letters say what one Chinese character says, about: so Chinese with English names in it is Chinese."""
_KANA_SHARE = 0.1
"""Japanese mixes both; from so many kana among them a text is Japanese."""
_OTHER_SHARE = 0.2
"""Prose has more of its commonest words; an English list of players from Los Angeles has fewer."""
_WORD = re.compile(r"[^\W\d_]+")
_ENGLISH_WORDS = """the of and to that for it with you this be are from have or by not what which when where how who why
    did does will can should would could about my your we they he she his her their its been has had"""
_OTHER_WORDS = """de la las los que una para como del les des et est une du dans qui der das und ist nicht ein eine mit
    von zu dem auf für che non sono della em uma não het een niet zijn och att är på ich wir sie sich auch nous vous
    avec pas más pero está são foi jest nie się ve bir için"""
_OF_ENGLISH, _OF_OTHERS = frozenset(_ENGLISH_WORDS.split()), frozenset(_OTHER_WORDS.split())


def language(text: str) -> str:
    """`english`, or the script (`latin`, `chinese`, `japanese`, `cyrillic`…); text without letters is English.

    Latin letters are English unless a fifth of the words are common in other languages or have accents, and more
    than are common in English.
    """
    sample = text[:_SAMPLE]
    letters = Counter(
        _SCRIPTS[bisect_right(_STARTS, ord(letter)) - 1][1] for letter in sample if letter.isalpha()
    )
    for dense in (CHINESE, JAPANESE, "korean"):
        letters[dense] *= _LETTERS_PER_IDEOGRAPH
    if letters[JAPANESE] > _KANA_SHARE * letters[CHINESE]:
        letters[JAPANESE] += letters.pop(CHINESE)
    script, count = max(letters.items(), key=lambda item: item[1])
    if not count:
        return ENGLISH
    return _latin(sample) if script == LATIN else script


def _latin(sample: str) -> str:
    words = [word.lower() for word in _WORD.findall(sample)]
    english = sum(word in _OF_ENGLISH for word in words)
    others = sum(word in _OF_OTHERS or not word.isascii() for word in words)
    return LATIN if others > english and others >= _OTHER_SHARE * len(words) else ENGLISH
