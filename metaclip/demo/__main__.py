"""Write the demo crawl: `python -m metaclip.demo [FOLDER]`."""

import sys

from metaclip.demo import write_demo_crawl

if len(sys.argv) > 2:
    sys.exit("usage: python -m metaclip.demo [FOLDER]   (default: demo-data/crawl)")
crawl = write_demo_crawl(sys.argv[1] if len(sys.argv) == 2 else "demo-data/crawl")
sys.stdout.write(f"{crawl.pages} pages with {crawl.images} images: {crawl.paths}\n")
