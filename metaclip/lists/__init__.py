"""Lists of entries as files: with other spellings added, and shown without a pool."""
