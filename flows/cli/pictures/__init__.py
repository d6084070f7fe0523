"""The commands about pictures, and about pairs that are taken out again."""
