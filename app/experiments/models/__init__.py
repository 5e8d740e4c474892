"""Language models as the experiments see them: what scores tokens, what answers questions."""
