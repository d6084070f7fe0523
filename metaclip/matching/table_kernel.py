"""The matcher's kernels: one hash table over the tokens of all entries.

A spaced text, its two padding spaces cut off, is split on single spaces, empty tokens kept. Then
`" " + entry + " "` occurs in it exactly where the entry equals some `" ".join(tokens[i:j])`, so an
entry is a path of tokens, and matching is a walk from each token of the text for as long as the
path goes on. Tokens are ranges of the text's own bytes (UTF-8): no spaced copy is made.

A key of the table is (parent, token): the token appended to the path that ends at slot parent - 1,
parent 0 being the empty path. A slot has four 64-bit words:

    0  parent (low half), entry id + 1 or 0 where the path is only the beginning of entries (high)
    1  the token's bytes 0 to 7; for a token of more than 16 bytes, where it starts in `long_tokens`
    2  the token's bytes 8 to 15; for a token of more than 16 bytes, a hash of it
    3  the token's length + 1, so that 0 means empty (low half); a mask of the tokens that may
       follow, one bit picked by five bits of their hash (high half)

Collisions are resolved by linear probing. A Bloom filter of the keys, small enough to stay in the
processor's cache, answers most of the misses; filter and mask only ever save work.

For the rules of `metaclip.matching.boundaries` a text is cut into tokens by the kinds of its characters, and a token
knows whether it is glued to the one before it. The table is the same; the highest bit of the parent in a key, which a
table of at most 2^31 slots leaves free, says whether the token is glued. So one key is one (parent, glued, token).

Equals `metaclip.matching.definition`; held by tests/metaclip/matching/test_matcher.py.
Equals `metaclip.matching.boundaries`; held by tests/metaclip/matching/test_boundaries.py.
"""

from typing import Any

import numpy as np

from metaclip.kernels.jit import kernel
from metaclip.kernels.memory import word_at
from metaclip.kernels.types import Byte, Bytes, EntryIds, HalfShorts, Int, Ints, Offsets, Truth, Word, Words
from metaclip.matching.boundaries import NO_COST, UNKNOWN
from metaclip.matching.characters import BASE, CODES, EXTEND, FOLLOW, JOIN, LEAD, MARK, OTHER, SPACE, TIBETAN
from metaclip.matching.definition import BLANKS, ISOLATED

U64 = np.uint64
_INLINE = U64(16)
_LOW = U64(0xFFFFFFFF)
_M1, _M2, _M3 = U64(0x9E3779B97F4A7C15), U64(0xC2B2AE3D27D4EB4F), U64(0x165667B19E3779F9)
_M4, _M5, _M6 = U64(0xD6E8FEB86659FD93), U64(0xA0761D6478BD642F), U64(0xE7037ED1A0B428DB)

# What a byte does to the tokens: 0 nothing, 1 ends one, 2 ends one and is one by itself.
_KIND = np.zeros(256, np.uint8)
_KIND[[ord(mark) for mark in " " + BLANKS]] = 1
_KIND[[ord(mark) for mark in ISOLATED]] = 2

# The bits of two little-endian words that a token of 0 to 16 bytes fills.
_MASK_0 = np.array([(1 << 8 * min(n, 8)) - 1 for n in range(17)], U64)
_MASK_1 = np.array([(1 << 8 * max(n - 8, 0)) - 1 for n in range(17)], U64)

_WINDOW = 4096  # tokens held at a time, so that scratch memory does not grow with a text


@kernel
def _token_words(data: Bytes, start: Word, length: Word) -> tuple[Word, Word]:
    """Return a token as two words: its bytes if they fit, else zero and a hash of them."""
    if length <= _INLINE:
        if start + _INLINE <= U64(data.size):
            return word_at(data, start) & _MASK_0[length], word_at(data, start + U64(8)) & _MASK_1[length]
        first = second = U64(0)
        for i in range(length):
            byte = U64(data[start + U64(i)])
            if i < 8:
                first |= byte << U64(8 * i)
            else:
                second |= byte << U64(8 * i - 64)
        return first, second
    digest = U64(length)
    for i in range(length):
        digest = (digest ^ U64(data[start + U64(i)])) * _M1
        digest ^= digest >> U64(29)
    return U64(0), digest


@kernel
def _hash_token(first: Word, second: Word, length: Word) -> Word:
    """Hash a token, given as its words and its length."""
    digest = first * _M1 + second * _M2 + length * _M3
    digest ^= digest >> U64(32)
    digest *= _M4
    return digest ^ (digest >> U64(29))


@kernel
def _hash_key(parent: Word, token_hash: Word) -> Word:
    """Hash a key of the table."""
    return (token_hash + parent * _M5) * _M6


@kernel
def _filter_bits(key_hash: Word) -> Word:
    """Return the bits that a key sets in its word of the filter."""
    return (U64(1) << (key_hash & U64(63))) | (U64(1) << ((key_hash >> U64(6)) & U64(63)))


@kernel
def _find_slot(
    slots: Words,
    long_tokens: Bytes,
    parent: Word,
    data: Bytes,
    start: Word,
    length: Word,
    first: Word,
    second: Word,
    key_hash: Word,
) -> tuple[Word, Truth]:
    """Return the key's slot and True, or the empty slot where it would stand and False."""
    capacity = U64(slots.shape[0])
    i = ((key_hash >> U64(32)) * capacity) >> U64(32)
    while True:
        extent = slots[i, 3]
        if extent == U64(0):
            return i, False
        # One branch for all that may differ: which of them does cannot be predicted.
        other = (slots[i, 2] ^ second) | ((slots[i, 0] ^ parent) & _LOW) | ((extent ^ (length + U64(1))) & _LOW)
        if length <= _INLINE:
            if (other | (slots[i, 1] ^ first)) == U64(0):
                return i, True
        elif other == U64(0):
            kept = slots[i, 1]
            same = True
            for k in range(length):
                if data[start + U64(k)] != long_tokens[kept + U64(k)]:
                    same = False
                    break
            if same:
                return i, True
        i += U64(1)
        if i == capacity:
            i = U64(0)


@kernel
def _can_match(data: Bytes, begin: Int, end: Int) -> Truth:
    """Tell whether an entry's tokens can all occur in a spaced text."""
    for k in range(begin, end):
        kind = _KIND[data[k]]
        if kind == 0 or data[k] == 32:
            continue
        if kind == 1 or (k > begin and data[k - 1] != 32) or (k + 1 < end and data[k + 1] != 32):
            return False
    return True


@kernel
def _enter(
    slots: Words,
    long_tokens: Bytes,
    used: Word,
    data: Bytes,
    start: Word,
    length: Word,
    parent: Word,
    last: Word,
    has_room: Truth,
) -> tuple[Word, Truth, Word]:
    """Append a token to the path that ends at `last` (`parent` 0: to the empty one), unless it is there already.

    Returns:
        The token's slot, whether it is new, and the bytes of `long_tokens` that are used. A new one is written only
        if there is room.
    """
    first, second = _token_words(data, start, length)
    token_hash = _hash_token(first, second, length)
    if parent:
        slots[last, 3] |= U64(1) << (U64(32) + (token_hash >> U64(59)))
    key_hash = _hash_key(parent, token_hash)
    slot, found = _find_slot(slots, long_tokens, parent, data, start, length, first, second, key_hash)
    if found or not has_room:
        return slot, not found, used
    if length > _INLINE:
        first = used
        for i in range(length):
            long_tokens[used + U64(i)] = data[start + U64(i)]
        used += length
    slots[slot, 0], slots[slot, 1], slots[slot, 2] = parent, first, second
    slots[slot, 3] = length + U64(1)
    return slot, True, used


@kernel
def build(data: Bytes, offsets: Offsets, slots: Words, long_tokens: Bytes) -> Ints:
    """Put entries into zeroed slots; stop where these are too few for probing to be short.

    Args:
        data: uint8, the entries' bytes end to end.
        offsets: int64[n + 1], where each begins.
        slots: uint64[capacity, 4], zeroed; filled.
        long_tokens: uint8[data.size]; filled from the front.

    Returns:
        int64[6]: entries taken in, keys, bytes of `long_tokens`, entries that repeat an earlier one,
        entries that can never match (neither kind is in the table), most tokens in an entry.
    """
    fullest = slots.shape[0] - slots.shape[0] // 4
    keys = duplicates = unmatchable = deepest = 0
    used = U64(0)
    n = offsets.size - 1
    for e in range(n):
        if not _can_match(data, offsets[e], offsets[e + 1]):
            unmatchable += 1
            continue
        k, end = U64(offsets[e]), U64(offsets[e + 1])
        parent = last = U64(0)
        depth = 0
        while True:
            start = k
            while k < end and data[k] != 32:
                k += U64(1)
            length = k - start
            last, is_new, used = _enter(slots, long_tokens, used, data, start, length, parent, last, keys < fullest)
            if is_new and keys == fullest:
                return np.array([e, keys, used, duplicates, unmatchable, deepest], np.int64)
            keys += is_new
            parent = last + U64(1)
            depth += 1
            if k == end:
                break
            k += U64(1)
        deepest = max(deepest, depth)
        if slots[last, 0] >> U64(32):
            duplicates += 1
        else:
            slots[last, 0] |= U64(e + 1) << U64(32)
    return np.array([n, keys, used, duplicates, unmatchable, deepest], np.int64)


@kernel
def fill_filter(slots: Words, filter_words: Words) -> None:
    """Enter the keys of all slots into a zeroed filter, uint64[a power of two]."""
    mask = U64(filter_words.size - 1)
    for i in range(slots.shape[0]):
        if slots[i, 3]:
            length = (slots[i, 3] & _LOW) - U64(1)
            first = slots[i, 1] if length <= _INLINE else U64(0)
            key_hash = _hash_key(slots[i, 0] & _LOW, _hash_token(first, slots[i, 2], length))
            filter_words[(key_hash >> U64(12)) & mask] |= _filter_bits(key_hash)


@kernel
def _passes(filter_words: Words, key_hash: Word) -> Truth:
    """Tell whether a key may be in the table, by the filter."""
    bits = _filter_bits(key_hash)
    return (filter_words[(key_hash >> U64(12)) & U64(filter_words.size - 1)] & bits) == bits


@kernel
def _sort_distinct(ids: EntryIds, begin: Int, end: Int) -> Int:
    """Sort ids[begin:end], move its distinct values to the front and return where they end."""
    # Shell's method (with Knuth's gaps), as most texts have few: numpy's would take a second to compile.
    gap = 1
    while gap < (end - begin) // 9:
        gap = 3 * gap + 1
    while gap > 0:
        for i in range(begin + gap, end):
            value = ids[i]
            k = i
            while k >= begin + gap and ids[k - gap] > value:
                ids[k] = ids[k - gap]
                k -= gap
            ids[k] = value
        gap //= 3
    kept = begin
    for i in range(begin, end):
        if i == begin or ids[i] != ids[i - 1]:
            ids[kept] = ids[i]
            kept += 1
    return kept


@kernel
def match(
    data: Bytes, offsets: Offsets, slots: Words, filter_words: Words, long_tokens: Bytes, deepest: Int
) -> tuple[Offsets, EntryIds]:
    """Match texts, given like `build`'s entries; `offsets` may begin anywhere in `data`.

    Returns:
        offsets int64[n + 1] and entry ids uint32[m], ascending and distinct within a text.
    """
    n = offsets.size - 1
    window = _WINDOW + 2 * deepest
    starts, lengths = np.empty(window, U64), np.empty(window, U64)
    firsts, seconds = np.empty(window, U64), np.empty(window, U64)
    hashes, candidates = np.empty(window, U64), np.empty(window, np.int64)
    ids = np.empty(4 * n + 64, np.uint32)
    m = 0
    bounds = np.zeros(n + 1, np.int64)
    for text in range(n):
        position, end = offsets[text], offsets[text + 1]
        start = U64(position)
        tokens = hashed = 0
        done = False
        begin, limit = m, 1 << 16
        while not done:
            stop = min(end, position + (window - 2 - tokens) // 2)
            for k in range(position, stop):
                kind = _KIND[data[k]]
                if kind:
                    starts[tokens], lengths[tokens] = start, U64(k) - start
                    tokens += 1
                    start = U64(k) + U64(1)
                    if kind == 2:
                        starts[tokens], lengths[tokens] = U64(k), U64(1)
                        tokens += 1
            position = stop
            done = position == end
            if done:
                starts[tokens], lengths[tokens] = start, U64(end) - start
                tokens += 1
            # The last tokens of a window wait until all that may follow them are in it.
            ready = tokens if done else max(tokens - deepest, 0)
            for j in range(hashed, tokens):
                first, second = _token_words(data, starts[j], lengths[j])
                firsts[j], seconds[j] = first, second
                hashes[j] = _hash_token(first, second, lengths[j])
            hashed = tokens
            waiting = 0
            for j in range(ready):
                candidates[waiting] = j
                waiting += _passes(filter_words, _hash_key(U64(0), hashes[j]))
            for c in range(waiting):
                j = candidates[c]
                parent = U64(0)
                key_hash = _hash_key(parent, hashes[j])
                while True:
                    slot, found = _find_slot(
                        slots, long_tokens, parent, data, starts[j], lengths[j], firsts[j], seconds[j], key_hash
                    )
                    if not found:
                        break
                    entry = slots[slot, 0] >> U64(32)
                    if entry:
                        if m == ids.size:
                            larger = np.empty(2 * m, np.uint32)
                            larger[:m] = ids
                            ids = larger
                        ids[m] = entry - U64(1)
                        m += 1
                    j += 1
                    if j == tokens or not (slots[slot, 3] >> (U64(32) + (hashes[j] >> U64(59)))) & U64(1):
                        break
                    parent = slot + U64(1)
                    key_hash = _hash_key(parent, hashes[j])
                    if not _passes(filter_words, key_hash):
                        break
            if ready and not done:
                for j in range(ready, tokens):
                    starts[j - ready], lengths[j - ready] = starts[j], lengths[j]
                    firsts[j - ready], seconds[j - ready] = firsts[j], seconds[j]
                    hashes[j - ready] = hashes[j]
                tokens -= ready
                hashed = tokens
            if m - begin > limit:
                m = _sort_distinct(ids, begin, m)
                limit = max(limit, 2 * (m - begin))
        m = _sort_distinct(ids, begin, m)
        bounds[text + 1] = m
    return bounds, ids[:m]


GLUED = U64(1 << 31)
"""The bit of a key's parent that says that the token is glued to the one before it."""

_NEVER = 1 << 62


@kernel
def _continues(kind: Byte, opened: Byte, takes: Truth) -> Truth:
    """Tell whether a character of a kind goes on with the last token; see `boundaries.tokens`."""
    if kind in (OTHER, TIBETAN):
        return bool(opened == kind)
    if kind in (EXTEND, JOIN):
        return bool(opened != MARK)
    return bool(opened == BASE and (kind == FOLLOW or (kind == BASE and takes)))


@kernel
def tokenize(data: Bytes, begin: Int, end: Int, kinds: Bytes, starts: Words, lengths: Words, glues: Words) -> Int:
    """Cut the UTF-8 bytes data[begin:end] into tokens; return how many there are.

    Args:
        data: uint8.
        begin: of the text.
        end: of the text.
        kinds: uint8[CODES], see `characters.character_kinds`.
        starts: uint64, one more than the text has bytes at least; filled with the place of each token.
        lengths: likewise; filled with their bytes.
        glues: likewise; filled with GLUED or 0.
    """
    tokens = 0
    opened: Any = np.int64(MARK)
    takes = False
    glue = U64(0)
    at = begin
    while at < end:
        lead = np.int64(data[at])
        size = 1
        code: Any = lead
        if lead >= 0xC0:
            size = 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
            if at + size > end:
                size = 1
            else:
                code = lead & (0x7F >> size)
                for k in range(1, size):
                    code = code << 6 | (np.int64(data[at + k]) & 0x3F)
                if code >= CODES:
                    code = 0
        kind = kinds[code]
        if kind == SPACE:
            opened = np.int64(MARK)
            takes = False
            glue = U64(0)
        else:
            if tokens and _continues(kind, opened, takes):
                lengths[tokens - 1] += U64(size)
            else:
                starts[tokens], lengths[tokens], glues[tokens] = U64(at), U64(size), glue
                tokens += 1
                if kind in (FOLLOW, LEAD):
                    opened = np.int64(BASE)
                elif kind in (EXTEND, JOIN):
                    opened = np.int64(OTHER)
                else:
                    opened = np.int64(kind)
            takes = opened == BASE and kind in (LEAD, JOIN)
            glue = GLUED
        at += size
    return tokens


@kernel
def build_tokens(data: Bytes, offsets: Offsets, kinds: Bytes, slots: Words, long_tokens: Bytes) -> Ints:
    """As `build`, for entries that `tokenize` cuts; an entry without a token can never match."""
    fullest = slots.shape[0] - slots.shape[0] // 4
    keys = duplicates = unmatchable = deepest = 0
    used = U64(0)
    n = offsets.size - 1
    longest = 0
    for e in range(n):
        longest = max(longest, offsets[e + 1] - offsets[e])
    starts, lengths, glues = np.empty(longest + 1, U64), np.empty(longest + 1, U64), np.empty(longest + 1, U64)
    for e in range(n):
        tokens = tokenize(data, offsets[e], offsets[e + 1], kinds, starts, lengths, glues)
        if not tokens:
            unmatchable += 1
            continue
        parent = last = U64(0)
        for j in range(tokens):
            start, length = starts[j], lengths[j]
            if j:
                parent |= glues[j]
            last, is_new, used = _enter(slots, long_tokens, used, data, start, length, parent, last, keys < fullest)
            if is_new and keys == fullest:
                return np.array([e, keys, used, duplicates, unmatchable, deepest], np.int64)
            keys += is_new
            parent = last + U64(1)
        deepest = max(deepest, tokens)
        if slots[last, 0] >> U64(32):
            duplicates += 1
        else:
            slots[last, 0] |= U64(e + 1) << U64(32)
    return np.array([n, keys, used, duplicates, unmatchable, deepest], np.int64)


@kernel
def match_tokens(
    data: Bytes,
    offsets: Offsets,
    kinds: Bytes,
    slots: Words,
    filter_words: Words,
    long_tokens: Bytes,
    costs: HalfShorts,
    by_words: Truth,
    text: Int,
    bounds: Ints,
    ids: EntryIds,
    scratch: Ints,
) -> tuple[Int, Int]:
    """Match texts that `tokenize` cuts, as far as there is room for their ids.

    Args:
        data: uint8, the texts' bytes.
        offsets: int64[n + 1], where each begins; the first may begin anywhere.
        kinds: uint8[CODES], as for `tokenize`.
        slots: uint64[capacity, 4], as `build_tokens` filled them.
        filter_words: uint64, as `fill_filter` filled them.
        long_tokens: uint8, as `build_tokens` filled it.
        costs: uint16[n_entries] for the rule `words`, see `boundaries.Costs`; else empty.
        by_words: whether both ends of an entry must be bounds of words, as `boundaries.word_bounds` finds them.
        text: the first text to match.
        bounds: int64[n + 1]; bounds[i + 1] becomes where the ids of text i end, if bounds[text] is where they begin.
        ids: uint32[room]; filled from the front, with the ids of a text ascending and distinct.
        scratch: int64[3, room], for what a single text contains.

    Returns:
        The first text that was not matched, and the number of ids. If that is the text that it began with, it needs
        more room, in `ids` or in `scratch`.
    """
    longest = 0
    for t in range(text, offsets.size - 1):
        longest = max(longest, offsets[t + 1] - offsets[t])
    room = longest + 1
    starts, lengths, glues = np.empty(room, U64), np.empty(room, U64), np.empty(room, U64)
    firsts, seconds, hashes = np.empty(room, U64), np.empty(room, U64), np.empty(room, U64)
    # The paths that go on: where each began, its next token, and what it is looked up by.
    origins, nexts = np.empty(room, np.int64), np.empty(room, np.int64)
    parents, key_hashes = np.empty(room, U64), np.empty(room, U64)
    size = room if by_words else 1
    best, before, newest = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size, np.int64)
    found_before = bounds[text]
    m = 0
    for t in range(text, offsets.size - 1):
        tokens = tokenize(data, offsets[t], offsets[t + 1], kinds, starts, lengths, glues)
        waiting = 0
        for j in range(tokens):
            first, second = _token_words(data, starts[j], lengths[j])
            firsts[j], seconds[j] = first, second
            hashes[j] = _hash_token(first, second, lengths[j])
            key_hash = _hash_key(U64(0), hashes[j])
            origins[waiting], nexts[waiting], parents[waiting], key_hashes[waiting] = j, j, U64(0), key_hash
            waiting += _passes(filter_words, key_hash)
        if by_words:
            for j in range(tokens + 1):
                newest[j] = -1
        begin, limit = m, 1 << 16
        # One token further on all paths at a time, so that the loads of their slots do not wait for each other.
        while waiting:
            going = 0
            for c in range(waiting):
                j = nexts[c]
                slot, found = _find_slot(
                    slots, long_tokens, parents[c], data, starts[j], lengths[j], firsts[j], seconds[j], key_hashes[c]
                )
                if not found:
                    continue
                j += 1
                entry = slots[slot, 0] >> U64(32)
                if entry:
                    if m == ids.size:
                        return t, begin
                    ids[m] = entry - U64(1)
                    if by_words:
                        k = m - begin
                        if k == scratch.shape[1]:
                            return t, begin
                        scratch[0, k], scratch[1, k], scratch[2, k] = origins[c], j, newest[origins[c]]
                        newest[origins[c]] = k
                    m += 1
                if j < tokens and (slots[slot, 3] >> (U64(32) + (hashes[j] >> U64(59)))) & U64(1):
                    parent = (slot + U64(1)) | glues[j]
                    key_hash = _hash_key(parent, hashes[j])
                    origins[going], nexts[going], parents[going], key_hashes[going] = origins[c], j, parent, key_hash
                    going += _passes(filter_words, key_hash)
            waiting = going
            if m - begin > limit and not by_words:
                m = _sort_distinct(ids, begin, m)
                limit = max(limit, 2 * (m - begin))
        if by_words:
            for j in range(tokens + 1):
                best[j] = _NEVER
            best[0] = 0
            for j in range(tokens):
                if best[j] + UNKNOWN < best[j + 1]:
                    best[j + 1] = best[j] + UNKNOWN
                    before[j + 1] = j
                k = newest[j]
                while k >= 0:
                    cost = np.int64(costs[ids[begin + k]])
                    end = scratch[1, k]
                    if cost != NO_COST and best[j] + cost < best[end]:
                        best[end] = best[j] + cost
                        before[end] = j
                    k = scratch[2, k]
            # Mark what is within a word in `best`, from the end back, and keep what lies between two bounds.
            last = tokens
            while last:
                for j in range(before[last] + 1, last):
                    best[j] = -1
                last = before[last]
            kept = begin
            for k in range(m - begin):
                if best[scratch[0, k]] >= 0 and best[scratch[1, k]] >= 0:
                    ids[kept] = ids[begin + k]
                    kept += 1
            m = kept
        m = _sort_distinct(ids, begin, m)
        bounds[t + 1] = found_before + m
    return offsets.size - 1, m
