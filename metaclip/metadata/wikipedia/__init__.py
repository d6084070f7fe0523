"""Words, word pairs and titles of Wikipedia, with their counts."""
