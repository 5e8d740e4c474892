"""The heart: a question and its passages become an answer with citations."""
