"""What a finished pool tells, from the store alone: sizes by t, texts, entries, and where a pair went."""
