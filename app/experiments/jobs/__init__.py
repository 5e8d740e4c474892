"""Small experiments that people start on the page; each runs in a process of its own."""
