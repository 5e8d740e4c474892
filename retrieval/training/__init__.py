"""Encoders and rerankers trained on one's own documents or questions."""
