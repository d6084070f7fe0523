"""Trees of words, of which a part can be taken: the kinds and instances of a synset of WordNet."""
