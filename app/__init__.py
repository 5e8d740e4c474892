"""What people touch: command line, page and API; the only place where retrieval and jamba meet."""
