"""The network: from token ids to logits, in float32 or int8, read from checkpoints."""
