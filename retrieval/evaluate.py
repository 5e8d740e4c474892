"""Queries and judgements in, TREC runs and ranking metrics out."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from retrieval.index import Index
from retrieval.sources import BEIR, CorpusEntry, read_corpus
from retrieval.squad import read_squad
from retrieval.types import Hit, Mode, RetrievalError

TAG = "orbweaver"
BATCH = 256  # queries searched together
MEASURES = ("nDCG@10", "R@20", "R@100", "Success@1", "Success@5", "Success@20")


@dataclass(frozen=True, slots=True)
class Task:
    """A corpus, questions by id, and the grade of each judged document by question."""

    entries: tuple[CorpusEntry, ...]
    queries: Mapping[str, str]
    qrels: Mapping[str, Mapping[str, int]]


def read_task(path: Path) -> Task:
    """A BEIR folder (judgements in `qrels/test.tsv`) or a SQuAD JSON file; raises RetrievalError.

    In SQuAD each paragraph is a document, `TITLE#N`, and a question's own paragraph the right one.
    """
    return _beir(path) if path.is_dir() else _squad(path)


def read_queries(path: Path) -> dict[str, str]:
    """Text by query id, of a BEIR `queries.jsonl`; raises RetrievalError naming a bad line."""
    lines = _text(path).splitlines()
    return dict(_query(path, n, line) for n, line in enumerate(lines, start=1) if line.strip())


def ask_all(
    index: Index, queries: Mapping[str, str], *, k: int, mode: Mode
) -> Iterator[tuple[str, list[Hit]]]:
    """The hits of each query, a batch of queries at a time, so that memory stays small."""
    ids = list(queries)
    for start in range(0, len(ids), BATCH):
        batch = ids[start : start + BATCH]
        hits = index.search_many([queries[id] for id in batch], k=k, mode=mode)
        yield from zip(batch, hits, strict=True)


def write_run(path: Path, found: Iterable[tuple[str, Sequence[Hit]]]) -> dict[str, list[str]]:
    """A TREC run: query, Q0, passage, rank, score, tag. Returns each query's passages in order."""
    ranked: dict[str, list[str]] = {}
    with open(path, "w", encoding="utf-8") as file:
        for query_id, hits in found:
            ranked[query_id] = [hit.passage_id for hit in hits]
            for rank, hit in enumerate(hits, start=1):
                file.write(f"{query_id} Q0 {hit.passage_id} {rank} {hit.score:.6f} {TAG}\n")
    return ranked


def measure(
    qrels: Mapping[str, Mapping[str, int]],
    ranked: Mapping[str, Sequence[str]],
    measures: Sequence[str] = MEASURES,
) -> dict[str, float]:
    """The mean of each measure in percent over the judged queries; one without hits counts 0.

    `ranked` holds passage ids, best first: ties stay as we broke them.
    """
    import ir_measures

    run = {
        query_id: {passage_id: float(len(ids) - rank) for rank, passage_id in enumerate(ids)}
        for query_id, ids in ranked.items()
    }
    parsed = [ir_measures.parse_measure(name) for name in measures]
    judged = {query_id: dict(grades) for query_id, grades in qrels.items()}
    values = ir_measures.calc_aggregate(parsed, judged, run)
    return {str(name): 100 * float(values[name]) for name in parsed}


def _beir(folder: Path) -> Task:
    entries = tuple(e for e in read_corpus(folder / BEIR) if isinstance(e, CorpusEntry))
    qrels: dict[str, dict[str, int]] = {}
    for query_id, document_id, grade in _judgements(folder / "qrels" / "test.tsv"):
        qrels.setdefault(query_id, {})[document_id] = grade
    queries = read_queries(folder / "queries.jsonl")
    return Task(entries, {i: text for i, text in queries.items() if i in qrels}, qrels)


def _judgements(path: Path) -> Iterator[tuple[str, str, int]]:
    rows = csv.reader(_text(path).splitlines(), delimiter="\t")
    next(rows, None)  # query-id, corpus-id, score
    for row in rows:
        try:
            query_id, document_id, grade = row
            yield query_id, document_id, int(grade)
        except ValueError as error:
            raise RetrievalError(f"{path}:{rows.line_num}: not a judgement: {row}") from error


def _squad(path: Path) -> Task:
    questions = read_squad(path)
    entries = {f"{q.title}#{q.paragraph}": q for q in questions}
    return Task(
        tuple(CorpusEntry(i, q.title.replace("_", " "), q.context) for i, q in entries.items()),
        {q.id: q.text for q in questions},
        {q.id: {f"{q.title}#{q.paragraph}": 1} for q in questions},
    )


def _query(path: Path, number: int, line: str) -> tuple[str, str]:
    try:
        query = json.loads(line)
        return str(query["_id"]), str(query["text"])
    except (ValueError, KeyError, TypeError) as error:
        raise RetrievalError(f"{path}:{number}: no query with _id and text: {error}") from error


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RetrievalError(f"{path}: {error}") from error
