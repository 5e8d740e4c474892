"""Question answering with passages in the prompt."""
