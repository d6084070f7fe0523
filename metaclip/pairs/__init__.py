"""From the images of a page to image-text pairs: the rules that all sources share.

A couple: `collector` is the definition; `assembly` with `assembly_kernel` is the fast way, which must give the same.
"""
