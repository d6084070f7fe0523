"""What the addresses of files tell: whether they lie in a private network, and the credentials that some hold."""
