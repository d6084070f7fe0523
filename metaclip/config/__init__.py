"""What a user may set: the tree of settings, how it is read, and the page about it."""
