"""The records of WARC, WAT and ARC files, in whatever state the files are.

A couple: `records` is the definition; `batches` with `batch_kernel` is the fast way, which must give the same.
"""
