"""Arrow rows in bounded memory: written, sorted, merged, each once."""
