"""The rows of files of pairs: Parquet, JSON (lines or arrays) and text with separators, in bounded memory."""
