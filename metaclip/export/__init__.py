"""A balanced set in the forms that other tools read, at any fsspec address."""
