"""Which language a text is in: the lid.176 model, and a kernel that gives fastText's labels and scores."""
