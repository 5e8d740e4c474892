"""BM25 by Lucene, in a Java machine of its own."""
