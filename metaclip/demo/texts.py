"""Captions in several languages, with a few very frequent words, as on the web."""

import random
import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import TypeVar

import yaml

T = TypeVar("T")

NOUNS_FILE = Path(__file__).parents[1] / "data" / "demo_nouns.txt"

PHRASES_FILE = NOUNS_FILE.with_name("demo_phrases.yaml")

_FIELD = re.compile(r"\{(\w+)\}")


class Draws:
    """Random choices that are the same on every machine and version: only `random()` is used."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed).random  # a seed that is text is hashed with SHA-512

    def chance(self, probability: float) -> bool:
        """Return True with the probability given."""
        return self._random() < probability

    def below(self, limit: int) -> int:
        """Return an integer from 0 to limit - 1."""
        return int(self._random() * limit)

    def choice(self, values: Sequence[T]) -> T:
        """Return one of the values."""
        return values[self.below(len(values))]

    def by_weight(self, values: Sequence[T], cumulative: Sequence[float]) -> T:
        """Return one of the values by their cumulative weights."""
        return values[bisect_right(cumulative, self._random() * cumulative[-1])]


def zipf(count: int, exponent: float) -> list[float]:
    """Return the cumulative weights 1 / rank^exponent of `count` ranks."""
    return list(accumulate(rank**-exponent for rank in range(1, count + 1)))


class Captions:
    """Makes captions; a few words are in most captions, and most words in few."""

    def __init__(self, draws: Draws) -> None:
        self._draws = draws
        self._phrases: dict[str, dict[str, list[str]]] = yaml.safe_load(PHRASES_FILE.read_text(encoding="utf-8"))
        english = self._phrases["en"]
        nouns = NOUNS_FILE.read_text(encoding="utf-8").splitlines()
        self._weighted: dict[str, tuple[list[str], list[float]]] = {
            "noun": (nouns, zipf(len(nouns), 1.25)),
            "stub": (english["stubs"], zipf(len(english["stubs"]), 0.8)),
            "adjective": (english["adjectives"], zipf(len(english["adjectives"]), 0.8)),
            "place": (english["places"], zipf(len(english["places"]), 0.8)),
            "month": (english["months"], zipf(len(english["months"]), 0)),
        }

    @property
    def languages(self) -> list[str]:
        """Languages of the captions."""
        return list(self._phrases)

    def make(self, language: str) -> str:
        """Return a caption in one of the languages."""
        draws = self._draws
        phrases = self._phrases[language]
        if language == "en":
            # Many texts of the web contain only very frequent entries.
            if draws.chance(0.4):
                return self._word("stub")
            return _FIELD.sub(lambda field: self._word(str(field[1])), draws.choice(phrases["frames"]))
        caption = draws.choice(phrases["frames"]).format(
            subject=draws.choice(phrases["subjects"]), place=draws.choice(phrases["places"])
        )
        return caption[0].upper() + caption[1:]

    def _word(self, kind: str) -> str:
        if kind == "number":
            return str(self._draws.below(100))
        if kind[0].isupper():
            return self._word(kind.lower()).capitalize()
        return self._draws.by_weight(*self._weighted[kind])
