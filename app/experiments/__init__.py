"""In-Context RALM experiments: what retrieval in the context is worth, measured."""
