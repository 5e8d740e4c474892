"""One question answering run from its files to its folder."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from app.experiments.errors import ExperimentError
from app.experiments.models.answerer import Answerer
from app.experiments.perplexity.retrieve import index_digest, open_index
from app.experiments.qa.asking import Row, ask, figures
from app.experiments.qa.data import QaItem, Text, read_qa
from app.experiments.qa.prompt import Prompt, QaMode
from app.experiments.run_folder import RunFolder, digest_of
from retrieval.types import Mode

PREDICTIONS = "predictions.jsonl"

Track = Callable[[str, int, int], None]  # what is done, how many of how many
Texts = Callable[[QaItem, int], Sequence[Text]]  # what stands before a question


@dataclass(frozen=True, slots=True)
class Request:
    """Which questions are asked, after what; `docs` are the numbers of passages to try."""

    data: Path
    index: Path | None
    docs: tuple[int, ...] = (0, 1, 2, 4, 8)
    mode: QaMode = QaMode.PASSAGES
    prompt: Prompt | None = None  # None: the one the model knows best
    retriever: Mode = Mode.HYBRID
    limit: int | None = None  # only so many questions, spread evenly over the file

    @property
    def conditions(self) -> tuple[int, ...]:
        """The numbers of passages; one, where it is not passages that are found."""
        return self.docs if self.mode is QaMode.PASSAGES else (1,)


def run(
    answerer: Answerer, request: Request, out: Path | None, *, resume: bool, track: Track
) -> tuple[Path, dict[str, Any]]:
    """Ask every question under every condition and write the run folder; returns it and metrics.

    Everything that can be refused is refused before the folder is made. Raises ExperimentError,
    RunError, RetrievalError or ModelError.
    """
    prompt = _prompt(answerer, request.prompt)
    items = _spread(read_qa(request.data), request.limit)
    texts, digest = _texts(request, items)
    folder = RunFolder.open(
        out, "qa", _settings(request, answerer, prompt, len(items), digest), resume=resume
    )
    began = time.perf_counter()
    rows = _ask_all(folder, answerer, prompt, request.conditions, items, texts, track)
    conditions = {
        docs: figures([row for row in rows if row.docs == docs]) for docs in request.conditions
    }
    metrics = {
        **conditions[max(request.conditions)],
        "mode": request.mode,
        "prompt": prompt,
        "by_docs": {str(docs): found for docs, found in conditions.items()},
    }
    folder.finish(metrics, {"seconds": time.perf_counter() - began})
    return folder.path, metrics


def _ask_all(
    folder: RunFolder,
    answerer: Answerer,
    prompt: Prompt,
    conditions: Sequence[int],
    items: Sequence[QaItem],
    texts: Texts,
    track: Track,
) -> list[Row]:
    """The rows in the folder, then the rest as they are made; questions in the file's order."""
    rows = [_from_line(line) for line in folder.lines(PREDICTIONS)]
    wanted = [(docs, item) for docs in conditions for item in items]
    for docs, item in wanted[len(rows) :]:
        row = ask(answerer, prompt, item, texts(item, docs), docs)
        folder.append(PREDICTIONS, [asdict(row)])
        rows.append(row)
        track("asking", len(rows), len(wanted))
    return rows


def _from_line(line: dict[str, Any]) -> Row:
    answers, passages = tuple(line["answers"]), tuple(map(tuple, line["passages"]))
    return Row(**(line | {"answers": answers, "passages": passages}))


def _prompt(answerer: Answerer, asked: Prompt | None) -> Prompt:
    if asked is not None and asked not in answerer.prompts:
        raise ExperimentError(
            f"{answerer.name} brings no chat template for the prompt '{asked}'; "
            f"it can be asked with {', '.join(answerer.prompts)}"
        )
    return asked or answerer.prompts[0]


def _spread(items: list[QaItem], limit: int | None) -> list[QaItem]:
    """So many of the questions, evenly from all of the file."""
    if limit is None or limit >= len(items):
        return items
    return [items[number * len(items) // limit] for number in range(limit)]


def _texts(request: Request, items: Sequence[QaItem]) -> tuple[Texts, str | None]:
    """What stands before each question, and the digest of the index that it is from, if any."""
    if request.mode is QaMode.GOLD:
        return _only(request, {item.id: item.gold for item in items}), None
    if request.mode is QaMode.DOCUMENT:
        return _only(request, {item.id: item.document for item in items}), None
    most = max(request.docs)
    if min(request.docs) < 0:
        raise ExperimentError(f"--docs are numbers of passages, not {min(request.docs)}")
    if most == 0:
        return (lambda item, docs: ()), None
    if request.index is None:
        return _from_file(request, items), None
    found = _found(request.index, items, most, request.retriever)
    return (lambda item, docs: found[item.id][:docs]), index_digest(request.index)


def _only(request: Request, texts: Mapping[str, Text | None]) -> Texts:
    """The one text of each question."""
    there = {id: text for id, text in texts.items() if text is not None and text.text.strip()}
    if missing := [id for id in texts if id not in there]:
        raise ExperimentError(
            f"{request.data}: question {missing[0]} comes without its {request.mode}; "
            "--mode passages with an index needs none"
        )
    return lambda item, docs: (there[item.id],)


def _from_file(request: Request, items: Sequence[QaItem]) -> Texts:
    """The passages that came with the questions."""
    bare = next((item.id for item in items if item.retrieved is None), None)
    if bare is not None:
        raise ExperimentError(
            f"{request.data}: question {bare} comes without passages (ctxs); name an --index"
        )
    return lambda item, docs: (item.retrieved or ())[:docs]


def _found(folder: Path, items: Sequence[QaItem], k: int, mode: Mode) -> dict[str, list[Text]]:
    """The best passages for each question."""
    index = open_index(folder, mode)
    try:
        hits = index.search_many([item.question for item in items], k=k, mode=mode)
        ids = dict.fromkeys(hit.passage_id for found in hits for hit in found)
        passages = {passage.id: passage for passage in index.passages(list(ids))}
    finally:
        index.close()
    return {
        item.id: [
            Text(
                passages[hit.passage_id].title,
                passages[hit.passage_id].text,
                hit.passage_id,
                hit.score,
            )
            for hit in found
        ]
        for item, found in zip(items, hits, strict=True)
    }


def _settings(
    request: Request, answerer: Answerer, prompt: Prompt, questions: int, digest: str | None
) -> dict[str, Any]:
    """All that decides the figures."""
    return {
        "data": str(request.data),
        "data_digest": digest_of([request.data]),
        "questions": questions,
        "model": answerer.name,
        "model_digest": answerer.digest,
        "prompt_limit": answerer.limit,
        "index": None if request.index is None else str(request.index),
        "index_digest": digest,
        "docs": list(request.conditions),
        "mode": request.mode,
        "prompt": prompt,
        "retriever": request.retriever,
    }
