"""Other spellings of entries: those that a list may have too, and those by which texts miss an entry.

The loose form of a string is its lower case (Unicode's, letter by letter), where each run of characters
that are not letters, marks or digits is replaced by one space, with no space at the ends.

A text misses an entry if it does not contain it, and its loose form contains the loose form of the entry
between spaces or ends, or one of that form's respacings or plurals. A hit counts for nothing if the text
contains another entry whose loose form is the one that was hit: then the list has that spelling already.
The cause is the first of `CAUSES` that explains it.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from metaclip.matching.matcher import Matcher
from metaclip.matching.spacing import can_match, space_entry

CAUSES = ("case", "punctuation", "case_and_punctuation", "spacing", "plural", "never")
"""Why a text misses an entry, most telling last of those that can be mended in the list; `never` stands for all
causes of an entry that no text can contain as it is spelled."""

CASE, PUNCTUATION, BOTH, SPACING, PLURAL, NEVER = range(len(CAUSES))

LEAST_SPLIT = 6
"""Letters of the shortest word that is split."""
LEAST_PART = 3
"""Letters of the shortest part of a split word."""

_NEITHER = r"[^\p{L}\p{M}\p{N}]+"


def loose(texts: pa.Array, lower: bool = True) -> pa.Array:
    """Return the loose forms of strings, without the change of case if `lower` is false."""
    return pc.utf8_trim(pc.replace_substring_regex(pc.utf8_lower(texts) if lower else texts, _NEITHER, " "), " ")


def case_variants(entry: str) -> list[str]:
    """Return the entry in lower case, capitals, with its first letter and with all first letters as capitals.

    Each once, without the entry itself. `bald eagle` gives `BALD EAGLE`, `Bald eagle` and `Bald Eagle`.
    """
    first = entry[:1].upper() + entry[1:].lower()
    words = " ".join(word[:1].upper() + word[1:].lower() for word in entry.split(" "))
    return [variant for variant in dict.fromkeys([entry.lower(), entry.upper(), first, words]) if variant != entry]


def plurals(form: str) -> list[str]:
    """Return a loose form with its last word in the English plural, or in the singular where it is a plural."""
    head, space, word = form.rpartition(" ")
    if len(word) < LEAST_PART or not word.isalpha():
        return []
    found = []
    if word.endswith("ies") and len(word) > 4:
        found.append(word[:-3] + "y")
    elif word.endswith(("ses", "xes", "zes", "ches", "shes", "oes")):
        found += [word[:-2], word[:-1]]
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")):
        found.append(word[:-1])
    elif word.endswith(("s", "x", "z", "ch", "sh", "o")):
        found += [word + "es", *([word + "s"] if word.endswith("o") else [])]
    elif word.endswith("y") and word[-2] not in "aeiou":
        found.append(word[:-1] + "ies")
    else:
        found.append(word + "s")
    return [head + space + other for other in found]


def respacings(form: str) -> list[str]:
    """Return a loose form with one or all of its spaces left out, or one long word with one space put in."""
    words = form.split(" ")
    if len(words) > 1:
        joined = [" ".join([*words[:at], words[at] + words[at + 1], *words[at + 2 :]]) for at in range(len(words) - 1)]
        return list(dict.fromkeys([*joined, "".join(words)]))
    if len(form) < LEAST_SPLIT or not form.isalpha():
        return []
    return [f"{form[:at]} {form[at:]}" for at in range(LEAST_PART, len(form) - LEAST_PART + 1)]


class NearMatcher:
    """Finds the entries that texts miss.

    Args:
        entries: the list; of equal entries the first counts.
        spaced: whether entries are matched spaced out (`match.space_entries`).
        english: whether the plural is looked for, which is that of English.
    """

    def __init__(self, entries: Sequence[str], spaced: bool = False, *, english: bool = True) -> None:
        self.n_entries = len(entries)
        matched = pa.array([space_entry(entry) for entry in entries] if spaced else entries, pa.string())
        self.never = np.array([not spaced and not can_match(entry) for entry in entries], bool)
        """bool[n_entries], which entries no text can contain."""
        forms = loose(pa.array(entries, pa.string())).to_pylist()
        spellings: dict[str, int] = {}
        rows: list[tuple[int, int, int]] = []
        self._form = np.full(len(entries), -1, np.int64)
        known: set[str] = set()
        for number, (entry, form) in enumerate(zip(entries, forms, strict=True)):
            if not form:
                continue
            self._form[number] = spellings.setdefault(form, len(spellings))
            if entry in known:
                continue
            known.add(entry)
            plural = plurals(form) if english else []
            for cause, found in ((BOTH, [form]), (SPACING, respacings(form)), (PLURAL, plural)):
                rows += [(spellings.setdefault(spelling, len(spellings)), number, cause) for spelling in found]
        table = np.array(rows, np.int64).reshape(-1, 3)
        table = table[np.argsort(table[:, 0], kind="stable")]
        self._entry, self._cause = table[:, 1], table[:, 2]
        self._bounds = np.searchsorted(table[:, 0], np.arange(len(spellings) + 1))
        self._loose = Matcher(list(spellings))
        self._lower, self._lower_of = _distinct(pc.utf8_lower(matched))
        self._plain, self._plain_of = _distinct(loose(pa.array(entries, pa.string()), lower=False))

    def find(
        self, texts: pa.Array, offsets: npt.NDArray[np.int64], entry_ids: npt.NDArray[np.uint32]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return which texts miss which entries, and why.

        Args:
            texts: string[n].
            offsets: int64[n + 1], with `entry_ids` what `Matcher.match` finds in the texts.
            entry_ids: uint32[m].

        Returns:
            texts int64[k], entries int64[k] and causes int64[k] (positions in `CAUSES`), sorted by text and
            entry, each couple once.
        """
        found_offsets, spellings = self._loose.match(loose(texts))
        text, at = _spread(np.repeat(np.arange(len(texts)), np.diff(found_offsets)), spellings, self._bounds)
        entry, cause = self._entry[at], self._cause[at]
        form = np.searchsorted(self._bounds, at, side="right") - 1
        has_text, has = np.repeat(np.arange(len(texts)), np.diff(offsets)), entry_ids.astype(np.int64)
        missed = ~_within(text, entry, has_text, has) & ~_within(text, form, has_text, self._form[has])
        text, entry, cause = text[missed], entry[missed], cause[missed]
        as_spelled = np.flatnonzero(cause == BOTH)
        if len(as_spelled):
            cause[as_spelled] = self._told_apart(texts, text[as_spelled], entry[as_spelled])
        order = np.lexsort((cause, entry, text))
        text, entry, cause = text[order], entry[order], cause[order]
        first = np.ones(len(text), bool)
        first[1:] = (text[1:] != text[:-1]) | (entry[1:] != entry[:-1])
        text, entry, cause = text[first], entry[first], cause[first]
        return text, entry, np.where(self.never[entry], NEVER, cause)

    def _told_apart(
        self, texts: pa.Array, text: npt.NDArray[np.int64], entry: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64]:
        """Return whether letter case alone, punctuation alone, or both keep the texts from containing the entries."""
        rows, row = np.unique(text, return_inverse=True)
        some = texts.take(pa.array(rows))
        lower = _contained(self._lower, pc.utf8_lower(some), row, self._lower_of[entry])
        plain = _contained(self._plain, loose(some, lower=False), row, self._plain_of[entry])
        return np.where(lower, CASE, np.where(plain, PUNCTUATION, BOTH))


def _distinct(strings: pa.Array) -> tuple[Matcher, npt.NDArray[np.int64]]:
    """Return a matcher of the distinct strings, and the id that each string has in it."""
    encoded = strings.dictionary_encode()
    return Matcher(encoded.dictionary.to_pylist()), encoded.indices.to_numpy().astype(np.int64)


def _contained(
    matcher: Matcher, texts: pa.Array, row: npt.NDArray[np.int64], wanted: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    offsets, ids = matcher.match(texts)
    return _within(row, wanted, np.repeat(np.arange(len(texts)), np.diff(offsets)), ids.astype(np.int64))


def _within(
    row: npt.NDArray[np.int64], value: npt.NDArray[np.int64], rows: npt.NDArray[np.int64], values: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """Tell of each (row, value) whether it is one of (rows, values); a value of -1 of the latter is none."""
    width = max(int(value.max(initial=0)), int(values.max(initial=0))) + 2
    keys = rows * width + values
    found: npt.NDArray[np.bool_] = np.isin(row * width + value, keys[values >= 0])
    return found


def _spread(
    rows: npt.NDArray[np.int64], groups: npt.NDArray[np.uint32], bounds: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return for each member of each row's group the row, and the place of the member."""
    starts = bounds[groups]
    sizes = bounds[groups.astype(np.int64) + 1] - starts
    ends = np.cumsum(sizes)
    place = np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - sizes - starts, sizes)
    return np.repeat(rows, sizes), place
