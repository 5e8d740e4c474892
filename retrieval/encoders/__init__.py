"""Text to vectors: the packaged encoder, folders, and checkpoints of other layouts."""
