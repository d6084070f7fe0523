"""Reading and writing bytes: in folders, object stores and on web servers."""
