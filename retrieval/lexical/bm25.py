"""BM25 by Lucene, read side: Anserini's analyzer, query and parameters, so that its rankings agree.

A search reads one commit, the one that carries the generation asked for.
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from retrieval.lexical.jvm import java, on_java_thread
from retrieval.records import Scored
from retrieval.types import IndexDamaged

K1, B = 0.9, 0.4
ID, DOCUMENT, CONTENTS = "id", "document", "contents"
GENERATION = "generation"  # key in Lucene's commit data
LISTINGS = 10


class Bm25Searcher:
    """Searches the Lucene commit of one generation; safe to call from any thread."""

    @on_java_thread
    def __init__(self, folder: Path, generation: int) -> None:
        """Open `folder`; raises IndexDamaged if it holds no commit of `generation`."""
        self._directory = open_directory(folder)
        commit = find_commit(self._directory, generation)
        if commit is None:
            raise IndexDamaged(
                f"{folder}: no Lucene commit of generation {generation}; build again"
            )
        self._reader = java("org.apache.lucene.index.DirectoryReader").open(commit)
        self._searcher = _searcher(self._reader)
        self._analyzer = analyzer()
        self._sort = _by_score_then_id()

    @on_java_thread
    def search(
        self, question: str, k: int, documents: Collection[str] | None = None
    ) -> list[Scored]:
        """The best `k` passages that share a word with `question`, best first, ties by id."""
        query = self._query(question, documents)
        found = self._searcher.search(query, max(1, k), self._sort, True).scoreDocs
        return [_scored(entry) for entry in found[:k]]

    def search_many(
        self, questions: Sequence[str], k: int, documents: Collection[str] | None = None
    ) -> list[list[Scored]]:
        """What `search` gives for each question."""
        return [self.search(question, k, documents) for question in questions]

    @on_java_thread
    def count(self) -> int:
        """Passages in the index."""
        return int(self._reader.numDocs())

    @on_java_thread
    def check(self) -> None:
        """Read every file against Lucene's checksums; raises IndexDamaged."""
        for leaf in self._reader.leaves().toArray():
            leaf.reader().checkIntegrity()

    @on_java_thread
    def close(self) -> None:
        """Close the files; a search after this fails."""
        self._reader.close()
        self._directory.close()

    def _query(self, question: str, documents: Collection[str] | None) -> Any:
        generator = java("io.anserini.search.query.BagOfWordsQueryGenerator")()
        words = generator.buildQuery(CONTENTS, self._analyzer, question)
        if documents is None:
            return words
        return _boolean((words, "MUST"), (_one_of(documents), "FILTER"))


def open_directory(folder: Path) -> Any:
    """Lucene's Directory for `folder`; on the Java thread."""
    path = java("java.nio.file.Paths").get(str(folder))
    return java("org.apache.lucene.store.FSDirectory").open(path)


def analyzer() -> Any:
    """Anserini's default for English: Porter stemming, Lucene's stop words."""
    return java("io.anserini.analysis.DefaultEnglishAnalyzer").newDefaultInstance()


def similarity() -> Any:
    """BM25 with Anserini's parameters."""
    return java("org.apache.lucene.search.similarities.BM25Similarity")(K1, B)


def find_commit(directory: Any, generation: int) -> Any | None:
    """The newest Lucene commit whose data names `generation`, or None."""
    if not java("org.apache.lucene.index.DirectoryReader").indexExists(directory):
        return None
    matching = [
        commit
        for commit in _commits(directory)
        if commit.getUserData().get(GENERATION) == str(generation)
    ]
    return cast("org.apache.lucene.index.IndexCommit", matching[-1]) if matching else None


def _commits(directory: Any, attempts: int = LISTINGS) -> Any:
    """Every commit that is there. A writer may delete an old one while it is being read, which
    Lucene takes for a corrupt file: then they are listed again.
    """
    try:
        return java("org.apache.lucene.index.DirectoryReader").listCommits(directory).toArray()
    except Exception:
        if attempts == 1:
            raise
        return _commits(directory, attempts - 1)


def cast(name: str, value: Any) -> Any:
    """`value` as the Java class `name`, where overloads need telling apart."""
    import jnius

    return jnius.cast(name, value)


def _searcher(reader: Any) -> Any:
    searcher = java("org.apache.lucene.search.IndexSearcher")(
        cast("org.apache.lucene.index.IndexReader", reader),
        signature="(Lorg/apache/lucene/index/IndexReader;)V",
    )
    searcher.setSimilarity(similarity())
    return searcher


def _by_score_then_id() -> Any:
    field = java("org.apache.lucene.search.SortField")
    by_id = field(ID, java("org.apache.lucene.search.SortField$Type").STRING_VAL)
    return java("org.apache.lucene.search.Sort")(field.FIELD_SCORE, by_id)


def _scored(entry: Any) -> Scored:
    score, passage_id = cast("org.apache.lucene.search.FieldDoc", entry).fields
    return Scored(passage_id.utf8ToString(), float(score))


def _boolean(*clauses: tuple[Any, str]) -> Any:
    occur = java("org.apache.lucene.search.BooleanClause$Occur")
    builder = java("org.apache.lucene.search.BooleanQuery$Builder")()
    for query, name in clauses:
        builder.add(cast("org.apache.lucene.search.Query", query), getattr(occur, name))
    return builder.build()


def _one_of(documents: Collection[str]) -> Any:
    """Matches the passages of exactly these documents."""
    terms = java("java.util.ArrayList")()
    for document in documents:
        terms.add(java("org.apache.lucene.util.BytesRef")(document.encode()))
    return java("org.apache.lucene.search.TermInSetQuery")(
        DOCUMENT, terms, signature="(Ljava/lang/String;Ljava/util/Collection;)V"
    )
