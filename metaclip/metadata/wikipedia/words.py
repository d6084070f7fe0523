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
from metaclip.kernels.memory import bare, copy_bytes, folded_product, word_at
from metaclip.kernels.types import Address, Bytes, Data, Indices, Int, Ints, Truth, Word, Words
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
BATCH = 128
"""Words that are looked up together."""

WORDS, LETTERS, PAIRS, TOKENS, TOO_LONG = range(5)
"""Indices of the array `sizes`: words, their bytes and pairs in the tables; words counted, and skipped."""

TABLED = 0x20000
"""Characters beyond these, almost all of them ideographs, are letters."""


_MIX, _MIX_MORE = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)


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
def _kind_at(text: Data, at: Int, kinds: Data) -> tuple[Int, Int]:
    """Return the class of the character at a place, and its bytes."""
    first = np.int64(text[at])
    if first < 0x80:
        return np.int64(kinds[first]), 1
    if first < 0xE0:
        return np.int64(kinds[(first & 0x1F) << 6 | np.int64(text[at + 1] & 0x3F)]), 2
    code = (first & 0x0F) << 12 | np.int64(text[at + 1] & 0x3F) << 6 | np.int64(text[at + 2] & 0x3F)
    if first < 0xF0:
        return np.int64(kinds[code]), 3
    code = (first & 0x07) << 18 | np.int64(text[at + 1] & 0x3F) << 12
    code |= np.int64(text[at + 2] & 0x3F) << 6 | np.int64(text[at + 3] & 0x3F)
    return np.int64(kinds[code]) if code < TABLED else np.int64(WORD), 4


@kernel
def _characters(text: Data, first: Int, last: Int) -> Int:
    """Return the number of characters of a span."""
    number = 0
    for i in range(first, last):
        number += text[i] & 0xC0 != 0x80
    return number


@kernel
def _find_words(
    text: Data, size: Int, start: Int, follows: Truth, kinds: Data, spans: Ints, sizes: Address
) -> tuple[Int, Int, Truth]:
    """Find at most BATCH words from a place on; return their number, where it stopped, and what it has of the next.

    Args:
        text: UTF-8.
        size: bytes of the text.
        start: where a token or what is between tokens begins.
        follows: whether a word that begins the token at `start` is a pair with the word before.
        kinds: classes of characters.
        spans: int64[BATCH, 3], gets where each word begins and ends, and whether it is a pair with the one before.
        sizes: counts tokens that are too long.
    """
    found, at = 0, start
    while at < size and found < BATCH:
        kind, width = _kind_at(text, at, kinds)
        if kind in (BLANK, MARK, LINE_END):
            if kind != BLANK:
                follows = False
            at += width
            continue
        # A token goes to the next blank, punctuation mark or line end; its word has no edge characters.
        first, last, end, has_word = -1, at, at, False
        while end < size:
            kind, width = _kind_at(text, end, kinds)
            if kind in (BLANK, MARK, LINE_END):
                break
            if kind != EDGE:
                if first < 0:
                    first = end
                last = end + width
            end += width
            if kind == WORD:
                has_word = True
                # Behind the text is a zero, which is in no word.
                while text[end] < 0x80 and kinds[text[end]] == WORD:
                    end += 1
                last = end
        if has_word and last - first > MAX_WORD_CHARACTERS and _characters(text, first, last) > MAX_WORD_CHARACTERS:
            sizes[TOO_LONG] += 1
            has_word = False
        if has_word:
            spans[found, 0] = first
            spans[found, 1] = last
            spans[found, 2] = follows and first == at
            found += 1
        follows = has_word and last == end
        at = end
    return found, at, follows


@kernel
def _eight_at(text: Data, at: Int, size: Int) -> Word:
    """Return at most eight bytes of a text as a word, with zeros behind if there are fewer."""
    word = word_at(text, at)
    if size < 8:
        word &= (np.uint64(1) << np.uint64(8 * size)) - np.uint64(1)
    return word


@kernel
def _hash_of(text: Data, first: Int, last: Int) -> Word:
    size = last - first
    mixed = folded_product(_eight_at(text, first, size) ^ _MIX, np.uint64(size) ^ _MIX_MORE)
    for at in range(8, size, 8):
        mixed = folded_product(mixed ^ _eight_at(text, first + at, size - at) ^ _MIX, _MIX_MORE)
    return mixed


@kernel
def _slot_of(mixed: Word, slots: Int) -> Int:
    """Return the slot, of at most 2^32, that the lower half of a hash belongs to."""
    return np.int64((mixed & np.uint64(0xFFFFFFFF)) * np.uint64(slots) >> np.uint64(32))


@kernel
def _word_id(
    text: Data,
    first: Int,
    last: Int,
    mixed: Word,
    slots: Address,
    number: Int,
    starts: Address,
    letters: Data,
    sizes: Address,
) -> Int:
    """Return the number of a word, which is given one if it is new; there must be room for it, and `number` slots."""
    size = last - first
    head = _eight_at(text, first, size)
    # A part of the hash, and the length: with the first eight letters, all of most words.
    mark = mixed >> np.uint64(41) << np.uint64(9) | np.uint64(size)
    slot = _slot_of(mixed, number)
    while slots[2 * slot + 1]:
        known = slots[2 * slot + 1]
        if slots[2 * slot] == head and known >> np.uint64(32) == mark:
            word = np.int64(known & np.uint64(0xFFFFFFFF)) - 1
            begin = np.int64(starts[word])
            same = True
            for k in range(8, size):
                if letters[begin + k] != text[first + k]:
                    same = False
                    break
            if same:
                return word
        slot += 1
        if slot == number:
            slot = 0
    word = sizes[WORDS]
    slots[2 * slot] = head
    slots[2 * slot + 1] = mark << np.uint64(32) | np.uint64(word + 1)
    at = sizes[LETTERS]
    copy_bytes(text, first, size, letters, at)
    starts[word + 1] = at + size
    sizes[WORDS] = word + 1
    sizes[LETTERS] = at + size
    return word


@kernel
def _count_pairs(keys: Words, number: Int, pairs: Address, slots: Int) -> Int:
    """Count pairs in a table of so many slots; return how many of them are new."""
    new = 0
    for i in range(number):
        key = keys[i]
        slot = _slot_of(folded_product(key ^ _MIX, _MIX_MORE), slots)
        while pairs[2 * slot + 1] and pairs[2 * slot] != key:
            slot += 1
            if slot == slots:
                slot = 0
        if not pairs[2 * slot + 1]:
            pairs[2 * slot] = key
            new += 1
        pairs[2 * slot + 1] += np.uint64(1)
    return new


@kernel
def count_tokens(
    text: Bytes,
    size: Int,
    kinds: Bytes,
    start: Int,
    previous_first: Int,
    previous_last: Int,
    pairs: Words,
    slots: Words,
    starts: Indices,
    letters: Bytes,
    word_counts: Ints,
    sizes: Ints,
    max_pairs: Int,
) -> tuple[Int, Int, Int]:
    """Count the tokens from `start` on; return where it stopped, and the word that a pair may begin with.

    It stops at the end, or when a table is full. The word before is a span of `text`, empty if there
    is none, because its number is no longer valid after the tables were written.

    What is far away in memory is asked for in advance, BATCH words at a time: first the words' slots, then
    the pairs'.

    Args:
        text: UTF-8, and eight more bytes.
        size: bytes of the text.
        kinds: classes of characters.
        start: byte of the text where to begin.
        previous_first: where the word before begins.
        previous_last: where it ends.
        pairs: slots of two words: a pair, as the number of its first word times 2^32 plus that of its second, and
            its count, zero for an empty slot.
        slots: of two words: the first eight letters of a word; and 23 bits of its hash, 9 of its length, and 32 of
            its number plus one, all zero for an empty slot.
        starts: where in `letters` each word begins and ends.
        letters: the words, end to end.
        word_counts: int64, by number.
        sizes: see WORDS.
        max_pairs: how many pairs there may be.
    """
    # Without their owners, which numba would count with each call.
    data, table, known, begins, stored = bare(text), bare(pairs), bare(slots), bare(starts), bare(letters)
    counted, sums, classes_of = bare(word_counts), bare(sizes), bare(kinds)
    pair_slots, word_slots = len(pairs) >> 1, len(slots) >> 1
    most_words, most_letters = len(word_counts), len(letters)
    spans = np.empty((BATCH, 3), np.int64)
    hashes = np.empty(BATCH, np.uint64)
    keys = np.empty(BATCH, np.uint64)
    asked = np.empty(BATCH, np.uint64)
    ids = np.empty(BATCH, np.int64)
    at = start
    before: Any = np.int64(-1)
    follows = previous_last > previous_first
    if follows:
        mixed = _hash_of(data, previous_first, previous_last)
        before = _word_id(data, previous_first, previous_last, mixed, known, word_slots, begins, stored, sums)
    while at < size:
        if (
            sums[PAIRS] + BATCH > max_pairs
            or sums[WORDS] + BATCH > most_words
            or sums[LETTERS] + BATCH * 4 * MAX_WORD_CHARACTERS > most_letters
        ):
            return (at, previous_first, previous_last) if follows else (at, 0, 0)
        found, at, follows = _find_words(data, size, at, follows, classes_of, spans, sums)
        for i in range(found):
            hashes[i] = _hash_of(data, spans[i, 0], spans[i, 1])
        for i in range(found):
            asked[i] = known[2 * _slot_of(hashes[i], word_slots)]
        for i in range(found):
            ids[i] = _word_id(data, spans[i, 0], spans[i, 1], hashes[i], known, word_slots, begins, stored, sums)
        number = 0
        for i in range(found):
            counted[ids[i]] += 1
            if spans[i, 2]:
                keys[number] = np.uint64(before) << np.uint64(32) | np.uint64(ids[i])
                number += 1
            before = ids[i]
        for i in range(number):
            asked[i] = table[2 * _slot_of(folded_product(keys[i] ^ _MIX, _MIX_MORE), pair_slots)]
        sums[PAIRS] += _count_pairs(keys, number, table, pair_slots)
        sums[TOKENS] += found
        if found:
            previous_first, previous_last = spans[found - 1, 0], spans[found - 1, 1]
    return size, 0, 0
