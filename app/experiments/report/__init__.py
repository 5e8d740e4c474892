"""Reports: any number of finished runs in tables, in words and in pictures."""
