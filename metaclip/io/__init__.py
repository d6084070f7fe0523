"""Bytes from and to anywhere: folders, object stores, web servers."""
