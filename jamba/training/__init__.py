"""Training from scratch, with exact resume."""
