"""Which files a pool is made of, and a reader for each kind of file."""
