"""The reader: the words of a passage that answer a question, and how it is trained."""
