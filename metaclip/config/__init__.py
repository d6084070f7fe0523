"""The settings of a user: their tree, how it is read, and the page about it."""
