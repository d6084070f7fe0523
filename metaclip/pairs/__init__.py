"""From the images of a page to image-text pairs: the rules of all sources.

`collector` is the definition; `assembly` with `assembly_kernel` is the fast way, which must give the same.
"""
