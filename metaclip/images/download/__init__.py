"""A careful download of pictures: robots.txt first, no host pressed, nothing without a bound; img2dataset's output."""
