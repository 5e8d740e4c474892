"""Whether the right passages are found: runs over questions with known answers."""
