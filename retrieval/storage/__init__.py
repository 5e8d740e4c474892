"""An index folder on disk: SQLite for passages, segments of vectors, one commit point."""
