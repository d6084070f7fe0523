"""From HTTP responses to the images of their pages.

Two couples of a definition and a fast way that must give the same: `message` and `responses` (from bytes to a
page), `tree` and `scanner` with `scan_kernel` (from a page to its images).
"""
