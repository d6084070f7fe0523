"""Files under one root, in a folder, in S3 or behind any other fsspec address: whole, or not there."""
