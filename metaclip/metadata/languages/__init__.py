"""What lists of other languages than English need: their WordNets, segmenters, addresses, and counts to begin with."""
