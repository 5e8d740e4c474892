"""Questions with known answers: reading them, asking them, and the figures."""
