"""Documents into the index, in a process of its own that outlives the page."""
