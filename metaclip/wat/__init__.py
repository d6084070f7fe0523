"""From Common Crawl's metadata of pages to the images of the pages.

A couple: `definition` says it plainly; `scanner` with `scan_kernel` is the fast way, which must give the same.
"""
