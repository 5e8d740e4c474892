"""What people touch: the command line, the page, the API; the only place where retrieval and jamba meet."""
