"""Language identification as a kernel: fastText's prediction, to the bit, for a batch of texts.

A text is split into words; the rows of its words and of their n-grams (2 to 4 characters of
`<word>`) are added up and divided by their number; a binary tree of logistic units, the hierarchical
softmax, is walked for the most probable label. Sums are float32, in fastText's order, without fused
multiply-add; `exp` and `log` are the C library's, as in fastText. So labels and scores are the ones
that fastText itself gives on the same machine. Between machines they differ where the C libraries
do: in the last bit of a score, and in a label only where two are that close.

fastText compares sums of logarithms. Here a label is looked for with products of probabilities,
and only the winner's logarithms are taken; if another label comes within CLOSE, which is far more
than the rounding of either, the tree is walked the way fastText does.

Source: fastText (Joulin et al., arXiv 1607.01759 and 1612.03651).

Equals `fasttext`; held by tests/metaclip/language/test_kernel.py.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from metaclip.kernels.jit import kernel
from metaclip.kernels.memory import count_bits
from metaclip.kernels.types import Byte, Bytes, HalfWord, HalfWords, Indices, Int, Offsets, Single, Singles, Word, Words

DIM = 16
"""Numbers in a row."""
MOST_LABELS = 256
DEEPEST = 40
"""Longest path from the root to a label: so many roundings, and so many times 1e-5, stay below CLOSE."""
BUCKETS = 2_000_000
"""An n-gram's bucket is its hash modulo this."""
CLOSE = 2e-3

U8, U32, U64, F32 = np.uint8, np.uint32, np.uint64, np.float32
_BASIS, _PRIME = U32(2166136261), U32(16777619)  # FNV-1a
_MODULUS = U64(BUCKETS)
_SIX_BITS, _LOW_SIX = U64(6), U64(63)
_LESS, _GREATER, _NEWLINE = U8(ord("<")), U8(ord(">")), U8(ord("\n"))
_LEAST = F32(math.log(1e-5))
# Buckets waiting to be added, so that this scratch memory does not grow with a text; so many are
# left free beyond the mark that one more turn of any loop fits.
_WINDOW = 1024
_FULL = U64(_WINDOW - 16)
_BLOCK = 256  # texts whose means are held at a time
_LABEL = np.frombuffer(b"__label__", np.uint8)

# What ends a word: 2 for the newline, which ends the text too. A no-break space does not.
_BLANK = np.zeros(256, np.uint8)
_BLANK[[ord(mark) for mark in " \t\v\f\r\0"]] = 1
_BLANK[_NEWLINE] = 2


class Tables(NamedTuple):
    """A model; `metaclip.language.fasttext_model` fills it and checks what is assumed here."""

    rows: npt.NDArray[np.float32]
    """float32[n-grams + words, DIM]; n-grams by their bucket."""
    present: npt.NDArray[np.uint64]
    """uint64: a bit for each bucket, 1 where it has a row, then a 1 for each word."""
    before: npt.NDArray[np.uint32]
    """uint32, one for each element of `present`: the rows of all bits before it."""
    word_data: npt.NDArray[np.uint8]
    """uint8: the words' bytes end to end."""
    word_bounds: npt.NDArray[np.int64]
    """int64[words + 1]: where each begins."""
    word_slots: npt.NDArray[np.int32]
    """int32[a power of two]: word + 1 by its hash, 0 where empty; at most half full."""
    word_hashes: npt.NDArray[np.uint32]
    """uint32[words]."""
    output: npt.NDArray[np.float32]
    """float32[labels - 1, DIM]: weights of the inner nodes."""
    children: npt.NDArray[np.int32]
    """int32[labels - 1, 2]: of the inner nodes; a label, or inner node + labels. The root is last."""
    paths: npt.NDArray[np.int32]
    """int32[labels, DEEPEST + 1]: 2 * inner node + turn (1: right) from the root on, then -1."""
    end: np.int64
    """The word `</s>`, which ends every text."""


@kernel
def _hashed(digest: HalfWord, byte: Byte) -> HalfWord:
    # fastText takes bytes for signed ones: those from 128 on set the upper bits too.
    return U32((digest ^ U32(np.int8(byte))) * _PRIME)


@kernel
def _find_word(tables: Tables, token: Bytes, length: Int, digest: HalfWord) -> Int:
    """Return the number of the word token[1 : length + 1], or -1."""
    mask = tables.word_slots.size - 1
    slot = np.int64(digest) & mask
    while True:
        word = np.int64(tables.word_slots[slot]) - 1
        if word < 0:
            return word
        start = tables.word_bounds[word]
        if tables.word_hashes[word] == digest and tables.word_bounds[word + 1] - start == length:
            same = True
            for k in range(length):
                if tables.word_data[start + k] != token[k + 1]:
                    same = False
                    break
            if same:
                return word
        slot = (slot + 1) & mask


@kernel
def fill_words(word_data: Bytes, word_bounds: Offsets, word_slots: Indices, word_hashes: HalfWords) -> None:
    """Enter distinct words into zeroed slots, a power of two and more than the words."""
    mask = word_slots.size - 1
    for word in range(word_hashes.size):
        digest = _BASIS
        for k in range(word_bounds[word], word_bounds[word + 1]):
            digest = _hashed(digest, word_data[k])
        word_hashes[word] = digest
        slot = np.int64(digest) & mask
        while word_slots[slot]:
            slot = (slot + 1) & mask
        word_slots[slot] = word + 1


@kernel
def _add_rows(tables: Tables, waiting: Words, count: Word, total: Singles) -> None:
    """Add the rows of buckets to `total`, one after the other."""
    for w in range(count):
        cell, bit = waiting[w] >> _SIX_BITS, waiting[w] & _LOW_SIX
        row = U64(tables.before[cell]) + U64(count_bits(tables.present[cell] & ((U64(1) << bit) - U64(1))))
        for d in range(DIM):
            total[d] += tables.rows[row, d]


@kernel
def _offer(present: Words, digest: HalfWord, waiting: Words, m: Word) -> Word:
    """Add an n-gram's bucket to the first m of `waiting` if it has a row; return how many there are then.

    Without a branch, as most have none.
    """
    bucket = U64(digest) % _MODULUS
    waiting[m] = bucket
    return m + ((present[bucket >> _SIX_BITS] >> (bucket & _LOW_SIX)) & U64(1))


@kernel
def _means(data: Bytes, offsets: Offsets, first: Int, last: Int, tables: Tables, token: Bytes, means: Singles) -> None:
    """Fill `means`, float32[last - first, DIM], with the mean of the rows of each text from first to last - 1."""
    # The loops over texts stand within this function and the next, as numba counts references to every
    # array at every call that it does not inline.
    waiting = np.empty(_WINDOW, np.uint64)
    present = tables.present
    for text in range(first, last):
        total = means[text - first]
        total[:] = F32(0)
        added, m = U64(0), U64(0)
        position, end = offsets[text], offsets[text + 1]
        while position < end:
            blank = _BLANK[data[position]]
            if blank == 2:
                break
            if blank:
                position += 1
                continue
            digest = _BASIS
            length, marks = 0, U8(0)
            while position < end:
                byte = data[position]
                if _BLANK[byte]:
                    break
                digest = _hashed(digest, byte)
                length += 1
                token[length] = byte
                marks |= byte
                position += 1
            if length >= _LABEL.size and token[1] == _LABEL[0]:
                same = True
                for k in range(_LABEL.size):
                    same &= token[k + 1] == _LABEL[k]
                if same:
                    continue
            word = _find_word(tables, token, length, digest)
            if word == tables.end:
                break
            if word >= 0:
                waiting[m] = U64(BUCKETS + word)
                m += U64(1)
            token[0], token[length + 1] = _LESS, _GREATER
            stop = length + 2
            if marks < 128:
                for i in range(stop - 3):
                    if m > _FULL:
                        _add_rows(tables, waiting, m, total)
                        added += m
                        m = U64(0)
                    digest = _hashed(_hashed(_BASIS, token[i]), token[i + 1])
                    m = _offer(present, digest, waiting, m)
                    digest = _hashed(digest, token[i + 2])
                    m = _offer(present, digest, waiting, m)
                    digest = _hashed(digest, token[i + 3])
                    m = _offer(present, digest, waiting, m)
                digest = _hashed(_hashed(_BASIS, token[stop - 3]), token[stop - 2])
                m = _offer(present, digest, waiting, m)
                m = _offer(present, _hashed(digest, token[stop - 1]), waiting, m)
                digest = _hashed(_hashed(_BASIS, token[stop - 2]), token[stop - 1])
                m = _offer(present, digest, waiting, m)
            else:
                for i in range(stop):
                    if (token[i] & 0xC0) == 0x80:
                        continue
                    if m > _FULL:
                        _add_rows(tables, waiting, m, total)
                        added += m
                        m = U64(0)
                    digest = _BASIS
                    k = i
                    for n in range(4):
                        if k == stop:
                            break
                        digest = _hashed(digest, token[k])
                        k += 1
                        while k < stop and (token[k] & 0xC0) == 0x80:
                            digest = _hashed(digest, token[k])
                            k += 1
                        if n:
                            m = _offer(present, digest, waiting, m)
            if m > _FULL:
                _add_rows(tables, waiting, m, total)
                added += m
                m = U64(0)
        waiting[m] = U64(BUCKETS + tables.end)
        m += U64(1)
        _add_rows(tables, waiting, m, total)
        share = F32(1.0 / np.float64(added + m))
        for d in range(DIM):
            total[d] *= share


@kernel
def _right(output: Singles, node: Int, means: Singles, text: Int) -> Single:
    """Return the probability of turning right at an inner node."""
    product = F32(0)
    for d in range(DIM):
        product += output[node, d] * means[text, d]
    return F32(1) / (F32(1) + math.exp(-product))


@kernel
def _log(probability: Single) -> Single:
    """Return the logarithm of a probability as fastText takes it."""
    # The 1e-5 is fastText's: a score may exceed 1 by as much for each step.
    return F32(math.log(np.float64(probability) + 1e-5))


@kernel
def _walk(
    children: Indices, output: Singles, means: Singles, text: Int, nodes: Indices, scores: Singles
) -> tuple[Int, Single]:
    """Return the best label and the logarithm of its score, in fastText's order: left first."""
    n = children.shape[0] + 1
    nodes[0], scores[0] = 2 * n - 2, F32(0)
    depth, best, best_score = 1, -1, F32(0)
    while depth:
        depth -= 1
        node, score = nodes[depth], scores[depth]
        if score < _LEAST or (best >= 0 and score < best_score):
            continue
        if node < n:
            best, best_score = node, score
            continue
        right = _right(output, node - n, means, text)
        nodes[depth], scores[depth] = children[node - n, 1], score + _log(right)
        nodes[depth + 1], scores[depth + 1] = children[node - n, 0], score + _log(F32(1) - right)
        depth += 2
    return best, best_score


@kernel
def _best_labels(tables: Tables, means: Singles, found: Bytes, found_scores: Singles) -> None:
    """Find the label of each mean, and its score."""
    nodes, chances = np.empty(DEEPEST + 2, np.int32), np.empty(DEEPEST + 2, np.float64)
    scores = np.empty(DEEPEST + 2, np.float32)
    children, paths, output = tables.children, tables.paths, tables.output
    n = children.shape[0] + 1
    rights = np.empty(n - 1, np.float32)
    for text in range(found.size):
        nodes[0], chances[0] = 2 * n - 2, 1.0
        depth, best, best_chance, floor = 1, np.int64(-1), 0.0, 0.0
        close = False
        while depth:
            depth -= 1
            node, chance = np.int64(nodes[depth]), chances[depth]
            while node >= n and chance >= floor:
                node -= n
                right = _right(output, node, means, text)
                rights[node] = right
                right_chance = chance * (np.float64(right) + 1e-5)
                left_chance = chance * (np.float64(F32(1) - right) + 1e-5)
                turn = np.int64(right_chance > left_chance)
                chance, other = max(right_chance, left_chance), min(right_chance, left_chance)
                if other >= floor:
                    nodes[depth], chances[depth] = children[node, 1 - turn], other
                    depth += 1
                node = np.int64(children[node, turn])
            if chance < floor:
                continue
            close = chance * (1.0 - CLOSE) <= best_chance
            if chance > best_chance:
                best, best_chance, floor = node, chance, chance * (1.0 - CLOSE)
        score = F32(0)
        if close:
            best, score = _walk(children, output, means, text, nodes, scores)
        else:
            for step in paths[best]:
                if step < 0:
                    break
                right = rights[step >> 1]
                score += _log(right if step & 1 else F32(1) - right)
        found[text], found_scores[text] = best, math.exp(score)


@kernel
def identify(data: Bytes, offsets: Offsets, tables: Tables) -> tuple[Bytes, Singles]:
    """Label texts.

    Args:
        data: uint8, the texts' bytes (any, UTF-8 or not) end to end.
        offsets: int64[n + 1], where each text begins; they may begin anywhere in `data`.
        tables: a model.

    Returns:
        labels uint8[n], by the model's numbers, and scores float32[n], which may exceed 1 a little.
    """
    n = offsets.size - 1
    longest = 0
    for i in range(n):
        longest = max(longest, offsets[i + 1] - offsets[i])
    token, means = np.empty(longest + 2, np.uint8), np.empty((_BLOCK, DIM), np.float32)
    found, scores = np.empty(n, np.uint8), np.empty(n, np.float32)
    for first in range(0, n, _BLOCK):
        last = min(first + _BLOCK, n)
        _means(data, offsets, first, last, tables, token, means)
        _best_labels(tables, means, found[first:last], scores[first:last])
    return found, scores
