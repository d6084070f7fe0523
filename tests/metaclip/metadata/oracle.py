"""The rule of words and pairs in plain Python, apart from the code that counts."""

import re
from collections import Counter

EDGES = "\"'()[]{}<>*=|“”„‟«»‹›‘’‚‛…–—―•·"


def count(text: str) -> tuple[Counter[str], Counter[tuple[str, str]]]:
    """Return the words of a text and the pairs of neighbours, with their counts."""
    words: Counter[str] = Counter()
    pairs: Counter[tuple[str, str]] = Counter()
    for line in re.split("[\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029\ufffc]", text):
        previous = None
        for token in re.sub(r"([,.;:?!`])", r" \1 ", line).split():
            word = token.strip(EDGES)
            if not any(character.isalnum() for character in word) or len(word) > 100:
                previous = None
                continue
            words[word] += 1
            if previous is not None and token.startswith(word):
                pairs[previous, word] += 1
            previous = word if token.endswith(word) else None
    return words, pairs
