"""Pictures that were downloaded: decoded in bounded processes, described in integers, shown, blurred, purged."""
