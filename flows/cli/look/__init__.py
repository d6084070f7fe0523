"""The subcommands that show what is in a pool: near misses, samples, comparison, a page to browse."""
