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
import numpy.typing as npt

from metaclip.kernels.jit import kernel
from metaclip.kernels.memory import word_at
from metaclip.kernels.types import Bytes, EntryIds, HalfShorts, Int, Ints, Offsets, Truth, Word, Words
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

_TOGETHER, _TOGETHER_BYTES = 128, 2048  # texts that are walked together, and their bytes


_CONTINUES = 8
"""Of a step: the character goes on with the last token."""


def _steps() -> npt.NDArray[np.uint8]:
    """Return the step of `boundaries.tokens` from each state at each kind of character, uint8[states, kinds].

    A state is what the last token may go on with (MARK: nothing), and whether it takes another base. A step is the next
    state, and CONTINUES.
    """
    states = [(MARK, False), (BASE, False), (BASE, True), (OTHER, False), (TIBETAN, False)]
    steps = np.zeros((len(states), 1 + max(_KINDS)), np.uint8)
    for number, (opened, takes) in enumerate(states):
        for kind in _KINDS - {SPACE}:
            goes_on = (
                (kind in (EXTEND, JOIN) and opened != MARK)
                or (kind == FOLLOW and opened == BASE)
                or (kind == BASE and opened == BASE and takes)
                or (kind in (OTHER, TIBETAN) and opened == kind)
            )
            after = opened if goes_on else {FOLLOW: BASE, LEAD: BASE, EXTEND: OTHER, JOIN: OTHER}.get(kind, kind)
            state = states.index((after, after == BASE and kind in (LEAD, JOIN)))
            steps[number, kind] = state | (_CONTINUES if goes_on else 0)
    return steps


_KINDS = frozenset((BASE, EXTEND, FOLLOW, JOIN, LEAD, MARK, OTHER, SPACE, TIBETAN))
_STEPS = _steps()


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
    tokens: Any = 0
    state: Any = 0
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
            state = 0
            glue = U64(0)
        else:
            step = np.int64(_STEPS[state, kind])
            # Whether a character begins a token cannot be predicted: it is entered, and stays only if it does.
            starts[tokens], lengths[tokens], glues[tokens] = U64(at), U64(0), glue
            tokens += 1 - step // _CONTINUES
            lengths[tokens - 1] += U64(size)
            state = step % _CONTINUES
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
def _walk(
    data: Bytes,
    slots: Words,
    filter_words: Words,
    long_tokens: Bytes,
    begin: Int,
    stop: Int,
    ends: Ints,
    tokens: tuple[Words, ...],
    paths: tuple[Words, ...],
    newest: Ints,
    found: Int,
    matches: Ints,
) -> Int:
    """Find the entries that begin at the tokens `begin` to `stop` - 1 of some texts.

    Args:
        data: uint8, the texts' bytes.
        slots: as for `match_tokens`.
        filter_words: likewise.
        long_tokens: likewise.
        begin: the first token.
        stop: after the last token.
        ends: int64, for each token where the tokens of its text end.
        tokens: start, length, GLUED or 0, the two words and the hash of each token.
        paths: room for as many paths as there are tokens: where each began, its next token, what it is looked up by,
            and the hash of that.
        newest: int64, for each token the last match that begins there, or -1; added to.
        found: how many matches there are before.
        matches: int64[3, room]: for each match after its last token, the match before it that begins at the same
            token, and the entry; added to.

    Returns:
        How many matches there are now; -1 if there is no room for them.
    """
    starts, lengths, glues, firsts, seconds, hashes = tokens
    origins, nexts, parents, key_hashes, extents = paths
    capacity = U64(slots.shape[0])
    waiting = 0
    for j in range(begin, stop):
        key_hash = _hash_key(U64(0), hashes[j])
        origins[waiting], nexts[waiting], parents[waiting], key_hashes[waiting] = U64(j), U64(j), U64(0), key_hash
        waiting += _passes(filter_words, key_hash)
    # One token further on all paths of all texts at a time. Slots are anywhere in the table: they are loaded in a loop
    # of its own, in which no load waits for another.
    while waiting:
        for c in range(waiting):
            extents[c] = slots[((key_hashes[c] >> U64(32)) * capacity) >> U64(32), 3]
        going = 0
        for c in range(waiting):
            if not extents[c]:
                continue
            at: Any = np.int64(nexts[c])
            slot, is_key = _find_slot(
                slots, long_tokens, parents[c], data, starts[at], lengths[at], firsts[at], seconds[at], key_hashes[c]
            )
            if not is_key:
                continue
            origin = np.int64(origins[c])
            end = ends[at]
            at += 1
            entry = slots[slot, 0] >> U64(32)
            if entry:
                if found == matches.shape[1]:
                    return -1
                matches[0, found], matches[1, found] = at, newest[origin]
                matches[2, found] = np.int64(entry) - 1
                newest[origin] = found
                found += 1
            if at < end and (slots[slot, 3] >> (U64(32) + (hashes[at] >> U64(59)))) & U64(1):
                parent = (slot + U64(1)) | glues[at]
                key_hash = _hash_key(parent, hashes[at])
                origins[going], nexts[going], parents[going], key_hashes[going] = U64(origin), U64(at), parent, key_hash
                going += _passes(filter_words, key_hash)
        waiting = going
    return found


@kernel
def _word_bounds(
    begin: Int, end: Int, newest: Ints, matches: Ints, costs: HalfShorts, best: Ints, before: Ints
) -> None:
    """Fill best[0 : end - begin + 1] with -1 where the tokens begin to end of a text are within a word, else not.

    This is `boundaries.word_bounds`; `newest` and `matches` are as `_walk` filled them, `before` is room.
    """
    for j in range(end - begin + 1):
        best[j] = _NEVER
    best[0] = 0
    for j in range(end - begin):
        if best[j] + UNKNOWN < best[j + 1]:
            best[j + 1] = best[j] + UNKNOWN
            before[j + 1] = j
        k = newest[begin + j]
        while k >= 0:
            cost = np.int64(costs[matches[2, k]])
            after = matches[0, k] - begin
            if cost != NO_COST and best[j] + cost < best[after]:
                best[after] = best[j] + cost
                before[after] = j
            k = matches[1, k]
    last = end - begin
    while last:
        for j in range(before[last] + 1, last):
            best[j] = -1
        last = before[last]


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

    Short texts are walked together. A long one is walked part by part where bounds of words do not matter, so that
    what it contains is never held more than once.

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
        scratch: int64[3, room], for what texts that are walked together contain.

    Returns:
        The first text that was not matched, and the number of ids. If that is the text that it began with, it needs
        more room, in `ids` or in `scratch`.
    """
    n = offsets.size - 1
    longest = 0
    for t in range(text, n):
        longest = max(longest, offsets[t + 1] - offsets[t])
    room = max(longest, _TOGETHER_BYTES) + 1
    starts, lengths, glues = np.empty(room, U64), np.empty(room, U64), np.empty(room, U64)
    firsts, seconds, hashes = np.empty(room, U64), np.empty(room, U64), np.empty(room, U64)
    held = (starts, lengths, glues, firsts, seconds, hashes)
    paths = (np.empty(room, U64), np.empty(room, U64), np.empty(room, U64), np.empty(room, U64), np.empty(room, U64))
    ends, newest = np.empty(room, np.int64), np.empty(room, np.int64)
    size = room if by_words else 1
    best, before = np.empty(size, np.int64), np.empty(size, np.int64)
    begins = np.empty(_TOGETHER + 1, np.int64)
    found_before = bounds[text]
    m = 0
    t = text
    while t < n:
        stop, tokens = t, 0
        begins[0] = 0
        while stop < n and stop - t < _TOGETHER and (stop == t or offsets[stop + 1] - offsets[t] <= _TOGETHER_BYTES):
            more = tokenize(
                data, offsets[stop], offsets[stop + 1], kinds, starts[tokens:], lengths[tokens:], glues[tokens:]
            )
            for j in range(tokens, tokens + more):
                ends[j] = tokens + more
                newest[j] = -1
                firsts[j], seconds[j] = _token_words(data, starts[j], lengths[j])
                hashes[j] = _hash_token(firsts[j], seconds[j], lengths[j])
            tokens += more
            stop += 1
            begins[stop - t] = tokens
        step = tokens if by_words or stop - t > 1 else _TOGETHER_BYTES
        first = m
        limit = 1 << 16
        part = 0
        while part < tokens:
            until = min(part + step, tokens)
            found = _walk(data, slots, filter_words, long_tokens, part, until, ends, held, paths, newest, 0, scratch)
            if found < 0:
                return t, first
            for u in range(t, stop):
                begin, end = max(begins[u - t], part), min(begins[u - t + 1], until)
                if stop - t > 1:
                    first = m
                some = False
                for j in range(begin, end):
                    some |= newest[j] >= 0
                if not some:
                    end = begin
                if by_words and some:
                    _word_bounds(begin, end, newest, scratch, costs, best, before)
                for j in range(begin, end):
                    k = newest[j]
                    while k >= 0:
                        if not by_words or (best[j - begin] >= 0 and best[scratch[0, k] - begin] >= 0):
                            if m == ids.size:
                                return u, first
                            ids[m] = U64(scratch[2, k])
                            m += 1
                        k = scratch[1, k]
                if stop - t > 1:
                    m = _sort_distinct(ids, first, m)
                    bounds[u + 1] = found_before + m
            if m - first > limit:
                m = _sort_distinct(ids, first, m)
                limit = max(limit, 2 * (m - first))
            part = until
        if stop - t == 1:
            m = _sort_distinct(ids, first, m)
            bounds[t + 1] = found_before + m
        elif not tokens:
            for u in range(t, stop):
                bounds[u + 1] = found_before + m
        t = stop
    return n, m
