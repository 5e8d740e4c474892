"""The same builds and searches on several processes or machines, by Ray; an optional extra."""
