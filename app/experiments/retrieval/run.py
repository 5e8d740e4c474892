"""One retrieval run: questions asked of an index, the files that others read, and the figures."""

import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.experiments.retrieval import results
from app.experiments.retrieval.results import Found
from app.experiments.run_folder import RunFolder, digest_of
from app.types import OrbweaverError
from retrieval.evaluation.evaluate import ask_all
from retrieval.evaluation.tasks import Task, read_task
from retrieval.ingest.sources import BEIR
from retrieval.records import Scored
from retrieval.search import Search
from retrieval.types import Extracted

if TYPE_CHECKING:
    from retrieval.encoders.encoder import Encoder
    from retrieval.index import Index

KIND = "retrieval"
HITS = "hits.jsonl"  # as they come, so that a stopped run can go on
PIECE = 64  # questions written down together

Report = Callable[[str, int, int], None]  # stage, done, total


@dataclass(frozen=True, slots=True)
class Request:
    """What a run is asked to do; `index` None makes one of the task's own corpus."""

    data: Path
    search: Search
    encoder: str | None = None  # a name, None for the packaged one, "none" for BM25 alone
    index: Path | None = None
    qrels: Path | None = None
    corpus: Path | None = None
    split: str = "test"
    strict: bool = False
    dpr_depth: int = 20
    timed: int = 50


def run(
    request: Request,
    out: Path | None,
    *,
    resume: bool,
    report: Report,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Ask every question and write the run folder; returns what `metrics.json` holds.

    With `resume`, questions answered before are not asked again. Raises RunError or RetrievalError.
    """
    task = read_task(
        request.data,
        qrels=request.qrels,
        corpus=request.corpus,
        split=request.split,
        strict=request.strict,
        entries=request.index is None,
    )
    encoder = _encoder(request)
    folder = RunFolder.open(out, KIND, settings(request, encoder), resume=resume)
    for note in task.notes:
        say(note)
    index = _open_index(request, task, folder.path / "index", encoder, report)
    try:
        notes = (*task.notes, *_foreign(index, task))
        began = time.perf_counter()
        found, asked = _ask(folder, index, task, request.search, report)
        seconds = time.perf_counter() - began
        figures = results.measure(index, task, found, request.search.k)
        results.write_rankings(folder.path, index, task, found, request.dpr_depth)
        timed = _latencies(index, task, request)
        described = index.info()
    finally:
        index.close()
    result = {
        **results.summary(task, figures, request.search.k),
        "data": str(request.data),
        "mode": request.search.mode.value,
        "index": described,
        "notes": list(notes),
    }
    results.write_figures(folder.path, figures)
    results.draw(folder.path, result["curves"], timed)
    folder.finish(result, _timing(timed, asked, seconds))
    return {**result, "run": str(folder.path)}


def settings(request: Request, encoder: "Encoder | None") -> dict[str, Any]:
    """All that decides the figures, with digests of the data, the index and every model."""
    return {
        "data": {"path": str(request.data), "sha256": digest_of(_files(request))},
        "qrels": str(request.qrels) if request.qrels else None,
        "corpus": _corpus_identity(request),
        "split": request.split if request.data.is_dir() else None,
        "index": _index_identity(request.index),
        "encoder": {"id": encoder.id, "sha256": encoder.weight_hash} if encoder else None,
        "strict": request.strict,
        "dpr_depth": request.dpr_depth,
        **request.search.settings(),
    }


def _files(request: Request) -> list[Path]:
    """The files that say what is asked and what is right."""
    data, qrels = request.data, request.qrels
    if data.is_dir():
        qrels = qrels or data / "qrels" / f"{request.split}.tsv"
        data = data / "queries.jsonl"
    return [data, qrels] if qrels else [data]


def _corpus_identity(request: Request) -> dict[str, str] | None:
    """The file of documents; None where they come with the questions or are in an index."""
    path = request.corpus or (request.data / BEIR if request.data.is_dir() else None)
    if path is None or request.index is not None:
        return None
    return {"path": str(path), "sha256": digest_of([path])}


def _index_identity(path: Path | None) -> dict[str, str] | None:
    """The index asked; None where the run makes its own, which data and encoder decide."""
    if path is None:
        return None
    from retrieval.storage.store import FILE, Store

    Store.open(path).close()  # a folder that is no index says so here
    return {"path": str(path), "sha256": digest_of([path / FILE])}


def _encoder(request: Request) -> "Encoder | None":
    from retrieval.encoders.encoder import load_encoder
    from retrieval.storage.store import Store

    if request.index is None:
        return None if request.encoder == "none" else load_encoder(request.encoder)
    store = Store.open(request.index)
    built = store.encoder
    store.close()
    return None if built is None else load_encoder(request.encoder or built.id)


def _open_index(
    request: Request, task: Task, own: Path, encoder: "Encoder | None", report: Report
) -> "Index":
    """The index asked for, or one of the task's corpus in the run folder, completed if need be."""
    from retrieval.index import Index
    from retrieval.ingest.writer import IndexWriter

    if request.index is not None:
        return Index.open(request.index, encoder)
    if not task.entries:
        raise OrbweaverError(f"{request.data} brings no corpus: name it by --corpus or --index")
    with IndexWriter(own, encoder) as writer:
        for entry in task.entries:
            if not writer.has(entry.id):
                extracted = Extracted(entry.title, entry.text, (), "text/plain")
                writer.add(entry.id, entry.id, extracted, whole=True)
        writer.commit(lambda done, total: report("encoding", done, total))
    return Index.open(own, encoder)


def _foreign(index: "Index", task: Task) -> list[str]:
    """A note on judged documents that the index lacks; an error where it has none of them."""
    judged = {document for grades in task.qrels.values() for document in grades}
    known = index.known(judged)
    if judged and not known:
        raise OrbweaverError(
            f"{index.path} holds none of the {len(judged)} judged documents, such as"
            f" {min(judged)}: was it built of this corpus?"
        )
    lacking = len(judged) - len(known)
    return [f"{lacking} of {len(judged)} judged documents are not in the index"] if lacking else []


def _ask(
    folder: RunFolder, index: "Index", task: Task, search: Search, report: Report
) -> tuple[Found, int]:
    """The hits of every question, those of an earlier go first; and how many were asked now."""
    found: Found = {
        line["query"]: [Scored(*hit) for hit in line["hits"]] for line in folder.lines(HITS)
    }
    left = [query for query in task.queries if query not in found]
    for start in range(0, len(left), PIECE):
        piece = {query: task.queries[query] for query in left[start : start + PIECE]}
        new = {
            query: [Scored(hit.passage_id, hit.score) for hit in hits]
            for query, hits in ask_all(index, piece, search)
        }
        folder.append(
            HITS,
            (
                {"query": query, "hits": [(hit.passage_id, hit.score) for hit in hits]}
                for query, hits in new.items()
            ),
        )
        found |= new
        report("searching", len(found), len(task.queries))
    return {query: found[query] for query in task.queries}, len(left)


def _latencies(index: "Index", task: Task, request: Request) -> list[float]:
    """Seconds of a draw of questions, asked one at a time as a person would, after a first one."""
    ids = sorted(task.queries)
    drawn = random.Random(0).sample(ids, min(request.timed, len(ids)))
    seconds = []
    for query in [*drawn[:1], *drawn]:
        began = time.perf_counter()
        request.search.find(index, [task.queries[query]])
        seconds.append(time.perf_counter() - began)
    return seconds[1:]


def _timing(seconds: Sequence[float], asked: int, searching: float) -> dict[str, Any]:
    """Milliseconds of single questions, and the rate at which many were answered together."""
    timing: dict[str, Any] = {
        "asked": asked,
        "searching_seconds": round(searching, 3),
        "latency_seconds": [round(each, 6) for each in seconds],
    }
    if seconds:
        ordered = sorted(1000 * each for each in seconds)
        timing["latency_ms"] = {
            "p50": round(statistics.median(ordered), 2),
            "p95": round(ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))], 2),
        }
    return timing
