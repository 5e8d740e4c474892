"""Documents into an index: what to read, in which order, and what to do when it goes wrong."""
