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

import numpy as np
import numpy.typing as npt

from metaclip.kernels.jit import kernel
from metaclip.kernels.memory import word_at
from metaclip.kernels.types import Bytes, EntryIds, HalfShorts, HalfWords, Int, Ints, Offsets, Truth, Word, Words
from metaclip.matching.boundaries import NO_COST, UNKNOWN
from metaclip.matching.characters import BASE, CODES, EXTEND, FOLLOW, JOIN, LEAD, MARK, OTHER, SPACE, TIBETAN
from metaclip.matching.definition import BLANKS, ISOLATED

U64 = np.uint64
_ONE, _TWO, _THREE, _FOUR = U64(1), U64(2), U64(3), U64(4)
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

_FEW = U64(24)  # ids that are sorted without branches

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
    if end - begin < 2:
        return end
    first, stop = U64(begin), U64(end)
    if stop - first <= _FEW:
        # Each value goes through all that are sorted before it, without a branch, which could not be predicted.
        for i in range(first + U64(1), stop):
            value = ids[i]
            for k in range(first, i):
                other = ids[k]
                ids[k] = min(other, value)
                value = max(other, value)
            ids[i] = value
    else:
        # Shell's method (with Knuth's gaps): numpy's would take a second to compile.
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
    kept = first
    for i in range(first + U64(1), stop):
        value = ids[i]
        kept += U64(value != ids[kept])
        ids[kept] = value
    return np.int64(kept) + 1


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

FIRST = U64(1)
"""In its place, that a token is the first of a text."""

NO_ENTRY = np.uint32(0xFFFFFFFF)
"""In the place of an entry, that a token stands by itself."""

_NEVER = 1 << 62

_TOGETHER, _TOGETHER_BYTES = 128, 2048  # texts that are walked together, and their bytes


_CONTINUES = U64(8)
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
            steps[number, kind] = state | (int(_CONTINUES) if goes_on else 0)
    return steps


_KINDS = frozenset((BASE, EXTEND, FOLLOW, JOIN, LEAD, MARK, OTHER, SPACE, TIBETAN))
_STEPS = _steps()


@kernel
def tokenize(
    data: Bytes, begin: Int, end: Int, kinds: Bytes, starts: Words, ends: Words, glues: Words, tokens: Int
) -> Int:
    """Cut the UTF-8 bytes data[begin:end] into tokens; return how many there are with those before.

    Args:
        data: uint8.
        begin: of the text.
        end: of the text.
        kinds: uint8[CODES], see `characters.character_kinds`.
        starts: uint64, as many after the tokens before as the text has bytes; filled with the place of each token.
        ends: likewise; filled with the place after each.
        glues: likewise; filled with FIRST for the text's first token, GLUED or 0 for others.
        tokens: how many there are before.
    """
    state = U64(0)
    glue = FIRST
    at, stop, n = U64(begin), U64(end), U64(tokens)
    while at < stop:
        lead = U64(data[at])
        size = U64(1)
        code = lead
        if lead >= U64(0xC0):
            size = U64(2) if lead < U64(0xE0) else U64(3) if lead < U64(0xF0) else U64(4)
            if at + size > stop:
                size = U64(1)
            else:
                code = lead & (U64(0x7F) >> size)
                for follow in range(at + U64(1), at + size):
                    code = code << U64(6) | (U64(data[follow]) & U64(0x3F))
                if code >= U64(CODES):
                    code = U64(0)
        kind = kinds[code]
        if kind == SPACE:
            state = U64(0)
            glue &= FIRST
        else:
            step = U64(_STEPS[state, kind])
            # Whether a character begins a token cannot be predicted: it is entered, and stays only if it does.
            starts[n], glues[n] = at, glue
            n += U64(1) - step // _CONTINUES
            ends[n - U64(1)] = at + size
            state = step % _CONTINUES
            glue = GLUED
        at += size
    return np.int64(n)


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
    starts, ends, glues = np.empty(longest + 1, U64), np.empty(longest + 1, U64), np.empty(longest + 1, U64)
    for e in range(n):
        tokens = tokenize(data, offsets[e], offsets[e + 1], kinds, starts, ends, glues, 0)
        if not tokens:
            unmatchable += 1
            continue
        parent = last = U64(0)
        for j in range(tokens):
            start, length = starts[j], ends[j] - starts[j]
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
    starts: Words,
    tokens: Words,
    paths: HalfWords,
    onward: HalfWords,
    matches: HalfWords,
) -> Int:
    """Find the entries that begin at the tokens `begin` to `stop` - 1 of some texts.

    One step is done on all paths of all texts at a time, with as few branches as can be: which of them would be taken
    cannot be predicted, and whatever was begun after a wrong guess is lost, loads from memory above all.

    Args:
        data: uint8, the texts' bytes.
        slots: as for `match_tokens`.
        filter_words: likewise.
        long_tokens: likewise.
        begin: the first token.
        stop: after the last token.
        starts: uint64, the place of each token.
        tokens: uint64[4 * n]: the two words of each token; its hash; its length + 1 (low half), GLUED, FIRST or 0 (high
            half). One more after the last: FIRST.
        paths: uint32[4 * room], room for as many paths as there are tokens: where each began; its next token; what that
            is looked up by, and at which slot.
        onward: uint32[4 * room], for paths that go on.
        matches: uint32[room, 4]; filled with the first token of each match, the one after its last, and the entry.

    Returns:
        How many matches there are; -1 if there is no room for them.
    """
    capacity, room = U64(slots.size) // _FOUR, U64(matches.shape[0])
    found = waiting = U64(0)
    for j in range(U64(begin), U64(stop)):
        key_hash = _hash_key(U64(0), tokens[_FOUR * j + _TWO])
        paths[waiting], paths[waiting + _ONE], paths[waiting + _TWO] = j, j, U64(0)
        paths[waiting + _THREE] = ((key_hash >> U64(32)) * capacity) >> U64(32)
        waiting += _FOUR * U64(_passes(filter_words, key_hash))
    while waiting:
        # Slots are anywhere in the table: they are loaded in a loop of its own, in which no load waits for another.
        for c in range(U64(0), waiting, _FOUR):
            onward[c + _THREE] = slots[_FOUR * U64(paths[c + _THREE])] & _LOW
        going = searching = U64(0)
        for c in range(U64(0), waiting, _FOUR):
            origin, at = U64(paths[c]), U64(paths[c + _ONE])
            parent, place = U64(paths[c + _TWO]), U64(paths[c + _THREE])
            slot, token = _FOUR * place, _FOUR * at
            head, extent, length = slots[slot], slots[slot + _THREE], tokens[token + _THREE] & _LOW
            other = (slots[slot + _TWO] ^ tokens[token + _ONE]) | ((head ^ parent) & _LOW) | ((extent & _LOW) ^ length)
            if length <= _INLINE + _ONE:
                other |= slots[slot + _ONE] ^ tokens[token]
            elif other == U64(0):
                start, kept = starts[at], slots[slot + _ONE]
                for k in range(length - _ONE):
                    other |= U64(data[start + U64(k)] ^ long_tokens[kept + U64(k)])
            is_key = U64(other == U64(0))
            # Where another key stands, the next slot is looked at.
            further = place + _ONE
            further -= capacity * U64(further == capacity)
            paths[searching], paths[searching + _ONE] = origin, at
            paths[searching + _TWO], paths[searching + _THREE] = parent, further
            searching += _FOUR * ((_ONE - is_key) & U64(extent != U64(0)))
            if found == room:
                return -1
            at += _ONE
            token += _FOUR
            entry = head >> U64(32)
            matches[found, 0], matches[found, 1], matches[found, 2] = origin, at, (entry - _ONE) & _LOW
            found += is_key & U64(entry != U64(0))
            onward[going], onward[going + _ONE], onward[going + _TWO] = origin, at, place
            may_follow = (extent >> (U64(32) + (tokens[token + _TWO] >> U64(59)))) & ~(
                tokens[token + _THREE] >> U64(32)
            )
            going += _FOUR * (is_key & may_follow)
        waiting = searching
        for g in range(U64(0), going, _FOUR):
            origin, at, place = U64(onward[g]), U64(onward[g + _ONE]), U64(onward[g + _TWO])
            parent = (place + _ONE) | (tokens[_FOUR * at + _THREE] >> U64(32))
            key_hash = _hash_key(parent, tokens[_FOUR * at + _TWO])
            paths[waiting], paths[waiting + _ONE], paths[waiting + _TWO] = origin, at, parent
            paths[waiting + _THREE] = ((key_hash >> U64(32)) * capacity) >> U64(32)
            waiting += _FOUR * U64(_passes(filter_words, key_hash))
    return np.int64(found)


@kernel
def _by_begin(
    begin: Int, end: Int, matches: HalfWords, found: Int, costs: HalfShorts, by_words: Truth, edges: HalfWords, at: Ints
) -> None:
    """Sort matches by their first token, which is one of `begin` to `end` - 1.

    Args:
        begin: the first token.
        end: after the last token.
        matches: as `_walk` filled them.
        found: how many there are.
        costs: as for `match_tokens`.
        by_words: whether each token by itself comes before what begins with it, with NO_ENTRY.
        edges: uint32[room, 4]; filled with the matches, and what each costs, if `by_words`.
        at: int64[end - begin + 2]; at[j] becomes where the edges that begin at token begin + j begin.
    """
    n = end - begin
    at[0] = at[1] = 0
    for j in range(2, n + 2):
        at[j] = np.int64(by_words)
    for k in range(found):
        at[U64(matches[k, 0]) - U64(begin) + U64(2)] += 1
    for j in range(2, n + 2):
        at[j] += at[j - 1]
    if by_words:
        for j in range(n):
            edge = U64(at[j + 1])
            edges[edge, 0], edges[edge, 1] = begin + j, begin + j + 1
            edges[edge, 2], edges[edge, 3] = NO_ENTRY, UNKNOWN
            at[j + 1] += 1
    for k in range(found):
        place = U64(matches[k, 0]) - U64(begin) + U64(1)
        edge = U64(at[place])
        edges[edge, 0], edges[edge, 1], edges[edge, 2] = matches[k, 0], matches[k, 1], matches[k, 2]
        if by_words:
            edges[edge, 3] = costs[U64(matches[k, 2])]
        at[place] += 1


@kernel
def _word_bounds(n: Int, edges: HalfWords, m: Int, best: Ints, before: Ints) -> None:
    """Fill best[0 : n + 1] with 1 where a word begins or ends between the n tokens of some texts, else 0.

    This is `boundaries.word_bounds`, as no match goes beyond a text; the m edges are as `_by_begin` filled them,
    `before` is room.
    """
    for j in range(n + 1):
        best[j] = _NEVER
    best[0] = 0
    for k in range(U64(m)):
        begin, end, cost = U64(edges[k, 0]), U64(edges[k, 1]), np.int64(edges[k, 3])
        if cost != NO_COST and best[begin] + cost < best[end]:
            best[end] = best[begin] + cost
            before[end] = begin
    for j in range(n + 1):
        best[j] = 0
    best[0] = 1
    while n:
        best[n] = 1
        n = before[n]


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
    matches: HalfWords,
) -> tuple[Int, Int]:
    """Match texts that `tokenize` cuts, as far as there is room for their ids.

    Short texts are walked together. A long one is walked part by part where bounds of words do not matter, so that
    what it contains is never held more than once.

    Args:
        data: uint8, the texts' bytes.
        offsets: int64[n + 1], where each begins; the first may begin anywhere.
        kinds: uint8[CODES], as for `tokenize`.
        slots: uint64[4 * capacity], those that `build_tokens` filled, end to end.
        filter_words: uint64, as `fill_filter` filled them.
        long_tokens: uint8, as `build_tokens` filled it.
        costs: uint16[n_entries] for the rule `words`, see `boundaries.Costs`; else empty.
        by_words: whether both ends of an entry must be bounds of words, as `boundaries.word_bounds` finds them.
        text: the first text to match.
        bounds: int64[n + 1]; bounds[i + 1] becomes where the ids of text i end, if bounds[text] is where they begin.
        ids: uint32[room]; filled from the front, with the ids of a text ascending and distinct.
        matches: uint32[room, 4], for what texts that are walked together contain.

    Returns:
        The first text that was not matched, and the number of ids. If that is the text that it began with, it needs
        more room, in `ids` or in `matches`.
    """
    n = offsets.size - 1
    longest = 0
    for t in range(text, n):
        longest = max(longest, offsets[t + 1] - offsets[t])
    room = max(longest, _TOGETHER_BYTES) + 1
    starts, ends, glues = np.empty(room, U64), np.empty(room, U64), np.empty(room, U64)
    held = np.empty(4 * room, U64)
    paths, onward = np.empty(4 * room, np.uint32), np.empty(4 * room, np.uint32)
    edges, at = np.empty((matches.shape[0] + room, 4), np.uint32), np.empty(room + 1, np.int64)
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
            tokens = tokenize(data, offsets[stop], offsets[stop + 1], kinds, starts, ends, glues, tokens)
            stop += 1
            begins[stop - t] = tokens
        for j in range(tokens):
            length = ends[j] - starts[j]
            first, second = _token_words(data, starts[j], length)
            held[4 * j], held[4 * j + 1], held[4 * j + 2] = first, second, _hash_token(first, second, length)
            held[4 * j + 3] = (length + U64(1)) | (glues[j] << U64(32))
        held[4 * tokens + 2], held[4 * tokens + 3] = U64(0), FIRST << U64(32)
        step = max(tokens, 1) if by_words or stop - t > 1 else _TOGETHER_BYTES
        first_id = m
        limit = 1 << 16
        for part in range(0, max(tokens, 1), step):
            until = min(part + step, tokens)
            found = _walk(data, slots, filter_words, long_tokens, part, until, starts, held, paths, onward, matches)
            if found < 0:
                return t, first_id
            _by_begin(part, until, matches, found, costs, by_words, edges, at)
            if by_words:
                _word_bounds(tokens, edges, at[tokens], best, before)
            for u in range(t, stop):
                first_id = m if stop - t > 1 else first_id
                begin, end = max(begins[u - t], part) - part, min(begins[u - t + 1], until) - part
                for k in range(U64(at[begin]), U64(at[end])):
                    if m == ids.size:
                        return u, first_id
                    ids[m] = edges[k, 2]
                    kept: Int = np.int64(edges[k, 2] != NO_ENTRY)
                    if by_words:
                        kept &= best[U64(edges[k, 0])] & best[U64(edges[k, 1])]
                    m += kept
                if stop - t > 1 or m - first_id > limit or until == tokens:
                    m = _sort_distinct(ids, first_id, m)
                    limit = max(limit, 2 * (m - first_id))
                bounds[u + 1] = found_before + m
        t = stop
    return n, m
