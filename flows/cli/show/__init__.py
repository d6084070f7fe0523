"""Output on a terminal: one module for each group of subcommands, and safe text."""
