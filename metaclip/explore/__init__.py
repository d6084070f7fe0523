"""What a finished pool tells: sizes, entries, near misses, why a pair is in or out."""
