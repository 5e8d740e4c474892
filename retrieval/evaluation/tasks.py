"""Questions with known answers: BEIR folders, SQuAD and DPR JSON, query files with TREC judgements.

Judgements (which documents are right) and answers (which words are) stay apart: some files have
one, some the other, SQuAD has both.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from retrieval.evaluation.squad import read_squad
from retrieval.ingest.sources import BEIR, BadLine, CorpusEntry, read_corpus
from retrieval.types import RetrievalError

Qrels = Mapping[str, Mapping[str, int]]  # grade by query id and document id
SHOWN = 5  # ids named in a note


@dataclass(frozen=True, slots=True)
class Task:
    """A corpus, questions by id, and what is known of each: judged documents, answers, or both.

    `entries` is empty where the corpus is elsewhere. `notes` say in words what was left out.
    """

    entries: tuple[CorpusEntry, ...]
    queries: Mapping[str, str]
    qrels: Qrels
    answers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read_task(
    path: Path,
    *,
    qrels: Path | None = None,
    corpus: Path | None = None,
    split: str = "test",
    strict: bool = False,
    entries: bool = True,
) -> Task:
    """A BEIR folder, a SQuAD or DPR JSON file, or a file of queries; raises RetrievalError.

    `qrels` replaces a BEIR folder's `qrels/SPLIT.tsv`; a file of queries has to have it. `corpus`
    replaces the documents; without `entries` none are read. Lines of a corpus that are no documents
    are left out and noted; with `strict` the first one is an error. In SQuAD each paragraph is a
    document, `TITLE#N`, and a question's own paragraph the right one.
    """
    if path.is_dir():
        task = _beir(path, split, qrels, entries and corpus is None, strict)
    elif path.suffix == ".json":
        task = _json_file(path)
    else:
        task = Task((), read_queries(path), {})
    if corpus is not None and entries:
        documents, notes = _corpus(corpus, strict)
        task = replace(task, entries=documents, notes=(*task.notes, *notes))
    if qrels is not None and not path.is_dir():
        task = _judged(task, read_qrels(qrels))
    if not task.qrels and not task.answers:
        raise RetrievalError(f"{path}: nothing says what is right; name judgements with --qrels")
    return task


def read_queries(path: Path) -> dict[str, str]:
    """Text by query id, of a BEIR `queries.jsonl` or of lines `id TAB text`.

    Raises RetrievalError naming a bad line or an id that is there twice.
    """
    read = _query if path.suffix == ".jsonl" else _topic
    queries: dict[str, str] = {}
    for number, line in enumerate(_text(path).splitlines(), start=1):
        if line.strip():
            query_id, text = read(path, number, line)
            if query_id in queries:
                raise RetrievalError(f"{path}:{number}: query {query_id} is there twice")
            queries[query_id] = text
    return queries


def read_qrels(path: Path) -> dict[str, dict[str, int]]:
    """Grades by query and document: TREC's `query 0 document grade`, or BEIR's table of three.

    Raises RetrievalError naming a line that is neither, or that contradicts an earlier one.
    """
    qrels: dict[str, dict[str, int]] = {}
    for number, line in enumerate(_text(path).splitlines(), start=1):
        if not line.strip() or (number == 1 and line.startswith("query-id")):
            continue
        query_id, document_id, grade = _judgement(path, number, line)
        if qrels.setdefault(query_id, {}).setdefault(document_id, grade) != grade:
            raise RetrievalError(
                f"{path}:{number}: {document_id} has another grade for query {query_id} above"
            )
    return qrels


def _beir(folder: Path, split: str, qrels: Path | None, with_corpus: bool, strict: bool) -> Task:
    entries, notes = _corpus(folder / BEIR, strict) if with_corpus else ((), ())
    queries = read_queries(folder / "queries.jsonl")
    judged = read_qrels(qrels or folder / "qrels" / f"{split}.tsv")
    return _judged(Task(entries, queries, {}, notes=notes), judged)


def _judged(task: Task, qrels: Qrels) -> Task:
    """The task with these judgements, of its judged queries alone."""
    queries = {id: text for id, text in task.queries.items() if id in qrels}
    if not queries:
        raise RetrievalError("the judgements name none of the queries: do both files belong?")
    notes = task.notes
    if missing := [id for id in qrels if id not in queries]:
        notes = (*notes, f"{len(missing)} judged queries have no text: {_some(missing)}")
    answers = {id: found for id, found in task.answers.items() if id in queries}
    judged = {id: qrels[id] for id in queries}
    return replace(task, queries=queries, qrels=judged, answers=answers, notes=notes)


def _corpus(path: Path, strict: bool) -> tuple[tuple[CorpusEntry, ...], tuple[str, ...]]:
    """The documents of a corpus, each id once, and a note for each line that is none."""
    entries: dict[str, CorpusEntry] = {}
    notes = []
    for found in _read_corpus(path):
        if isinstance(found, CorpusEntry) and found.id not in entries:
            entries[found.id] = found
            continue
        if isinstance(found, BadLine):
            note = f"{path}:{found.line}: {found.reason}"
        else:
            note = f"{path}: _id {found.id} is there twice"
        if strict:
            raise RetrievalError(note)
        notes.append(f"left out: {note}")
    if not entries:
        raise RetrievalError(
            f"{path} holds no documents; the first problem: {[*notes, 'empty'][0]}"
        )
    return tuple(entries.values()), tuple(notes)


def _read_corpus(path: Path) -> Iterator[CorpusEntry | BadLine]:
    try:
        yield from read_corpus(path)
    except OSError as error:
        raise RetrievalError(f"{path}: {error.strerror or error}") from error


def _json_file(path: Path) -> Task:
    """SQuAD's object with "data", or DPR's list of questions."""
    try:
        content = json.loads(_text(path))
    except ValueError as error:
        raise RetrievalError(f"{path}: not JSON: {error}") from error
    return _dpr(path, content) if isinstance(content, list) else _squad(path)


def _squad(path: Path) -> Task:
    questions = read_squad(path)
    _refuse_twice(path, (question.id for question in questions))
    entries = {f"{q.title}#{q.paragraph}": q for q in questions}
    return Task(
        tuple(CorpusEntry(i, q.title.replace("_", " "), q.context) for i, q in entries.items()),
        {q.id: q.text for q in questions},
        {q.id: {f"{q.title}#{q.paragraph}": 1} for q in questions},
        {q.id: tuple(answer.text for answer in q.answers) for q in questions if q.answers},
    )


def _dpr(path: Path, content: list[Any]) -> Task:
    """DPR's questions: `question`, `answers`, and `positive_ctxs` with ids where there are any."""
    queries: dict[str, str] = {}
    answers: dict[str, tuple[str, ...]] = {}
    qrels: dict[str, dict[str, int]] = {}
    _refuse_twice(path, (_dpr_id(n, item) for n, item in enumerate(content)))
    for number, item in enumerate(content):
        try:
            query_id = _dpr_id(number, item)
            queries[query_id] = str(item["question"])
            if any(item["answers"]):
                answers[query_id] = tuple(str(answer) for answer in item["answers"] if answer)
            right = {str(id): 1 for each in item.get("positive_ctxs", []) if (id := _id_of(each))}
        except (KeyError, TypeError, AttributeError) as error:
            raise RetrievalError(
                f"{path}: item {number}: no question with answers ({type(error).__name__}: {error})"
            ) from error
        if right:
            qrels[query_id] = right
    return Task((), queries, qrels, answers)


def _dpr_id(number: int, item: Any) -> str:
    return str(item.get("id", number)) if isinstance(item, dict) else str(number)


def _id_of(passage: Mapping[str, Any]) -> str | None:
    found = passage.get("passage_id", passage.get("psg_id"))
    return None if found is None else str(found)


def _refuse_twice(path: Path, ids: Iterable[str]) -> None:
    seen: set[str] = set()
    for id in ids:
        if id in seen:
            raise RetrievalError(f"{path}: question {id} is there twice")
        seen.add(id)


def _query(path: Path, number: int, line: str) -> tuple[str, str]:
    try:
        query = json.loads(line)
        return str(query["_id"]), str(query["text"])
    except (ValueError, KeyError, TypeError) as error:
        raise RetrievalError(f"{path}:{number}: no query with _id and text: {error}") from error


def _topic(path: Path, number: int, line: str) -> tuple[str, str]:
    query_id, tab, text = line.partition("\t")
    if not tab:
        raise RetrievalError(f"{path}:{number}: no query: an id, a TAB and its text are expected")
    return query_id.strip(), text.strip()


def _judgement(path: Path, number: int, line: str) -> tuple[str, str, int]:
    columns = line.split("\t")  # BEIR's three: an id may hold a blank
    if len(columns) != 3:
        columns = line.split()
    try:
        query_id, *_, document_id, grade = columns
        if len(columns) not in (3, 4):
            raise ValueError(f"{len(columns)} columns")
        return query_id, document_id, int(grade)
    except ValueError as error:
        raise RetrievalError(f"{path}:{number}: not a judgement: {line!r}") from error


def _some(ids: list[str]) -> str:
    return ", ".join(ids[:SHOWN]) + (", ..." if len(ids) > SHOWN else "")


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RetrievalError(f"{path}: {error}") from error
