"""Export a set in the formats of other tools, and download its images."""
