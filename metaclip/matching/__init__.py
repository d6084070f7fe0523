"""Which entries a text contains.

`definition` is the definition; `matcher` with `table_kernel` is the fast way, which must give the same.
"""
