"""Language models: a Jamba folder or a server behind one protocol, and how each is prompted."""
