"""How numeric code is compiled and typed, and memory read many bytes at a time."""
