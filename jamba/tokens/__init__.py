"""Text to token ids and back: tokenizer, chat template, text as it is written."""
