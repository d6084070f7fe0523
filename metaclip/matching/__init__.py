"""Which entries a text contains.

A couple: `definition` says it plainly; `matcher` with `table_kernel` is the fast way, which must give the same.
"""
