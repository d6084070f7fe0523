"""Which of the described pictures stay: the filter, and near-duplicates found by keys, pairs and a cover."""
