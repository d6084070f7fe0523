"""The list of entries: a given one, or one built from WordNet and Wikipedia."""
