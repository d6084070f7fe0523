"""The demo: a small crawl written on the spot, and the list of entries shipped for it."""
