"""A page to browse a finished pool: the index that its answers need, the answers, and the server."""
