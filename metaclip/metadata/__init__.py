"""Metadata built from raw sources: WordNet, words and word pairs of Wikipedia, titles by page views."""
