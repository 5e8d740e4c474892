"""Perplexity with retrieval in the context (In-Context RALM, sections 3 to 6)."""
