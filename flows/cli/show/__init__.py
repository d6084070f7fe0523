"""What people see on a terminal: one module for each group of subcommands, and safe text."""
