"""The definition of words and of neighbouring words in running text, which fits the matcher.

A text is spaced as `metaclip.matching.definition` says, and split into tokens at white space.
Quotation marks, brackets and dashes are removed from the ends of a token. The rest is a word if it has
a letter or a digit. Two words are a pair if there is only white space between them: no punctuation, no
bracket, no line end, no gap where markup was removed. Case is kept. So words and pairs are, as far as
possible, what the matcher finds in texts.
"""

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from metaclip.kernels.jit import kernel
from metaclip.kernels.types import Bytes, HalfWords, Indices, Int, Ints, Words
from metaclip.matching import characters
from metaclip.matching.characters import character_kinds
from metaclip.matching.definition import ISOLATED
from metaclip.metadata.wikipedia.wikitext import GAP

OTHER, BLANK, LINE_END, MARK, EDGE, WORD = range(6)

EDGES = "\"'()[]{}<>*=|“”„‟«»‹›‘’‚‛…–—―•·"
"""Characters that are removed from the ends of a token."""

MAX_WORD_CHARACTERS = 100
"""Maximum length of a word; a longer token is not a word."""

_LINE_ENDS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029" + GAP
EMPTY = np.uint64(0xFFFFFFFFFFFFFFFF)
"""An empty slot of the table of pairs."""

WORDS, LETTERS, PAIRS, TOKENS, TOO_LONG = range(5)
"""Indices of the array `sizes`: words, their bytes and pairs in the tables; words counted, and skipped."""

TABLED = 0x20000
"""Characters beyond these, almost all of them ideographs, are letters."""


@cache
def classes(unicode_marks: bool = False) -> npt.NDArray[np.uint8]:
    """Return the class of each character below `TABLED`, by code point.

    Args:
        unicode_marks: cut words at all punctuation and symbols.
    """
    kinds = character_kinds()
    table = np.zeros(TABLED, np.uint8)
    for code in range(TABLED):
        character = chr(code)
        if character in _LINE_ENDS:
            table[code] = LINE_END
        elif character.isspace() or (unicode_marks and kinds[code] == characters.SPACE):
            table[code] = BLANK
        elif character in ISOLATED or (unicode_marks and kinds[code] == characters.MARK):
            table[code] = MARK
        elif character in EDGES:
            table[code] = EDGE
        elif character.isalnum():
            table[code] = WORD
    table.flags.writeable = False
    return table


@kernel
def _word_id(
    codes: HalfWords,
    first: Int,
    last: Int,
    slots: Indices,
    hashes: HalfWords,
    starts: Indices,
    letters: Bytes,
    sizes: Ints,
) -> Int:
    """Return the number of a word, which is given one if it is new; -1 where there is no room."""
    words, at = sizes[WORDS], sizes[LETTERS]
    if words == len(hashes) or at + 4 * (last - first) > len(letters):
        return -1
    # Write the word as UTF-8 after the others. If it is new, it stays there.
    end = at
    for i in range(first, last):
        code = codes[i]
        if code < 0x80:
            letters[end] = code
            end += 1
        elif code < 0x800:
            letters[end] = 0xC0 | code >> 6
            letters[end + 1] = 0x80 | code & 0x3F
            end += 2
        elif code < 0x10000:
            letters[end] = 0xE0 | code >> 12
            letters[end + 1] = 0x80 | code >> 6 & 0x3F
            letters[end + 2] = 0x80 | code & 0x3F
            end += 3
        else:
            letters[end] = 0xF0 | code >> 18
            letters[end + 1] = 0x80 | code >> 12 & 0x3F
            letters[end + 2] = 0x80 | code >> 6 & 0x3F
            letters[end + 3] = 0x80 | code & 0x3F
            end += 4
    key = np.uint64(14695981039346656037)
    for i in range(at, end):
        key = (key ^ np.uint64(letters[i])) * np.uint64(1099511628211)
    key ^= key >> np.uint64(29)
    key *= np.uint64(0xBF58476D1CE4E5B9)
    short = np.uint32(key >> np.uint64(32))
    slot: Any = np.int64((key & np.uint64(0xFFFFFFFF)) * np.uint64(len(slots)) >> np.uint64(32))
    while slots[slot] >= 0:
        known = slots[slot]
        begin = starts[known]
        if hashes[known] == short and starts[known + 1] - begin == end - at:
            same = True
            for i in range(end - at):
                if letters[begin + i] != letters[at + i]:
                    same = False
                    break
            if same:
                return np.int64(known)
        slot += 1
        if slot == len(slots):
            slot = 0
    slots[slot] = words
    hashes[words] = short
    starts[words + 1] = end
    sizes[WORDS] += 1
    sizes[LETTERS] = end
    return words


@kernel
def count_tokens(
    codes: HalfWords,
    kinds: Bytes,
    start: Int,
    previous_first: Int,
    previous_last: Int,
    keys: Words,
    pair_counts: HalfWords,
    slots: Indices,
    hashes: HalfWords,
    starts: Indices,
    letters: Bytes,
    word_counts: Ints,
    sizes: Ints,
    max_pairs: Int,
) -> tuple[Int, Int, Int]:
    """Count the tokens from `start` on; return where it stopped, and the word that a pair may begin with.

    It stops at the end, or when a table is full. The word before is a span of `codes`, empty if there
    is none, because its number is no longer valid after the tables were written.
    """
    n = len(codes)
    before: Any = np.int64(-1)
    if previous_last > previous_first:
        before = _word_id(codes, previous_first, previous_last, slots, hashes, starts, letters, sizes)
    at = start
    while at < n:
        kind = kinds[codes[at]] if codes[at] < TABLED else WORD
        if kind in (BLANK, MARK, LINE_END):
            if kind != BLANK:
                before = np.int64(-1)
            at += 1
            continue
        # A token goes to the next blank, punctuation mark or line end; its word has no edge characters.
        first, last, end, has_word = -1, at, at, False
        while end < n:
            kind = kinds[codes[end]] if codes[end] < TABLED else WORD
            if kind in (BLANK, MARK, LINE_END):
                break
            if kind != EDGE:
                if first < 0:
                    first = end
                last = end + 1
                has_word |= kind == WORD
            end += 1
        if not has_word or last - first > MAX_WORD_CHARACTERS:
            sizes[TOO_LONG] += has_word
            before = np.int64(-1)
            at = end
            continue
        word: Any = np.int64(-1)
        if sizes[PAIRS] < max_pairs:
            word = _word_id(codes, first, last, slots, hashes, starts, letters, sizes)
        if word < 0:
            if before < 0:
                return at, 0, 0
            return at, previous_first, previous_last
        word_counts[word] += 1
        sizes[TOKENS] += 1
        if before >= 0 and first == at:
            key = np.uint64(before) << np.uint64(32) | np.uint64(word)
            mixed = (key ^ key >> np.uint64(31)) * np.uint64(0x9E3779B97F4A7C15)
            mixed = (mixed ^ mixed >> np.uint64(32)) & np.uint64(0xFFFFFFFF)
            slot: Any = np.int64(mixed * np.uint64(len(keys)) >> np.uint64(32))
            while keys[slot] != key and keys[slot] != EMPTY:
                slot += 1
                if slot == len(keys):
                    slot = 0
            if keys[slot] == EMPTY:
                keys[slot] = key
                sizes[PAIRS] += 1
            pair_counts[slot] += 1
        before = word if last == end else np.int64(-1)
        previous_first, previous_last = first, last
        at = end
    return n, 0, 0
