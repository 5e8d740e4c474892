"""One question answering run from its files to its folder."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from app.answering.prompt import Reading
from app.experiments.errors import ExperimentError
from app.experiments.models.answerer import Answerer
from app.experiments.perplexity.retrieve import index_digest, open_index
from app.experiments.qa.asking import Condition, Row, ask
from app.experiments.qa.data import QaItem, Text, read_qa
from app.experiments.qa.figures import figures
from app.experiments.qa.prompt import Prompt, QaMode
from app.experiments.qa.recursive import Drafts, SecondPass
from app.experiments.run_folder import RunFolder, digest_of
from app.types import Outcome
from retrieval.rerank import Reranker
from retrieval.search import Search
from retrieval.types import Mode

PREDICTIONS = "predictions.jsonl"

Track = Callable[[str, int, int], None]  # what is done, how many of how many
Texts = Callable[[QaItem, int], Sequence[Text]]  # the best so many texts for a question


@dataclass(frozen=True, slots=True)
class Request:
    """Which questions are asked, after what; `docs` are the numbers of passages to try.

    `budgets`, in tokens of the whole prompt, are packed with the best of so many `candidates`.
    """

    data: Path
    index: Path | None
    docs: tuple[int, ...] = (0, 1, 2, 4, 8)
    budgets: tuple[int, ...] = ()
    candidates: int = 100
    mode: QaMode = QaMode.PASSAGES
    prompt: Prompt | None = None  # None: the one the model knows best
    retriever: Mode = Mode.HYBRID
    reranker: Reranker | None = None
    limit: int | None = None  # only so many questions, spread evenly over the file
    drafts: Drafts | None = None  # of each answer, to be compared where they differ

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The numbers of passages, then the budgets; one, where no passages are looked for."""
        if self.mode is not QaMode.PASSAGES:
            return (Condition(docs=1),)
        numbers = [Condition(docs=docs) for docs in self.docs]
        return (*numbers, *(Condition(budget=budget) for budget in self.budgets))

    def texts(self, condition: Condition) -> int:
        """How many of the best texts a condition is given."""
        return self.candidates if condition.docs is None else condition.docs


def run(
    answerer: Answerer, request: Request, out: Path | None, *, resume: bool, track: Track
) -> tuple[Path, dict[str, Any]]:
    """Ask every question under every condition and write the run folder; returns it and metrics.

    Everything that can be refused is refused before the folder is made. Raises ExperimentError,
    RunError, RetrievalError or ModelError.
    """
    prompt = _prompt(answerer, request.prompt)
    items = _spread(read_qa(request.data), request.limit)
    _check_budgets(answerer, prompt, request, items)
    texts, digest = _texts(request, items)
    folder = RunFolder.open(
        out, "qa", _settings(request, answerer, prompt, len(items), digest), resume=resume
    )
    began, before = time.perf_counter(), len(folder.lines(PREDICTIONS))
    rows = _ask_all(folder, answerer, prompt, request, items, texts, track)
    by_docs, by_budget = _by(rows, "docs"), _by(rows, "budget")
    metrics = {
        **by_docs[max(by_docs)],
        "mode": request.mode,
        "prompt": prompt,
        "by_docs": {str(docs): found for docs, found in by_docs.items()},
        "by_budget": {str(budget): found for budget, found in by_budget.items()},
    }
    timing = {"asked": len(rows) - before, "seconds": time.perf_counter() - began}  # its last part
    folder.finish(metrics, timing)
    return folder.path, metrics


def _ask_all(
    folder: RunFolder,
    answerer: Answerer,
    prompt: Prompt,
    request: Request,
    items: Sequence[QaItem],
    texts: Texts,
    track: Track,
) -> list[Row]:
    """The rows in the folder, then the rest as they are made; questions in the file's order."""
    rows = [_from_line(line) for line in folder.lines(PREDICTIONS)]
    wanted = [(condition, item) for condition in request.conditions for item in items]
    for condition, item in wanted[len(rows) :]:
        given = texts(item, request.texts(condition))
        row = ask(answerer, prompt, item, given, condition, request.drafts)
        folder.append(PREDICTIONS, [asdict(row)])
        rows.append(row)
        track("asking", len(rows), len(wanted))
    return rows


def _from_line(line: dict[str, Any]) -> Row:
    pairs = {name: tuple(map(tuple, line[name])) for name in ("passages", "dropped")}
    second = line["second"] and _second(line["second"])
    return Row(**(line | pairs | {"answers": tuple(line["answers"]), "second": second}))


def _second(line: dict[str, Any]) -> SecondPass:
    read = {"drafts": tuple(line["drafts"]), "outcome": Outcome(line["outcome"])}
    return SecondPass(**(line | read))


def _by(rows: Sequence[Row], name: str) -> dict[int, dict[str, Any]]:
    """The figures of each number of passages, or of each budget."""
    values = dict.fromkeys(getattr(row, name) for row in rows if getattr(row, name) is not None)
    return {value: figures([r for r in rows if getattr(r, name) == value]) for value in values}


def _prompt(answerer: Answerer, asked: Prompt | None) -> Prompt:
    if asked is not None and asked not in answerer.prompts:
        raise ExperimentError(
            f"{answerer.name} brings no chat template for the prompt '{asked}'; "
            f"it can be asked with {', '.join(answerer.prompts)}"
        )
    return asked or answerer.prompts[0]


def _check_budgets(
    answerer: Answerer, prompt: Prompt, request: Request, items: Sequence[QaItem]
) -> None:
    """Raise where a budget is more than the model reads, or less than a question."""
    if not request.budgets:
        return
    if max(request.budgets) > answerer.limit:
        raise ExperimentError(
            f"a budget of {max(request.budgets)} tokens is more than the {answerer.limit} that "
            f"{answerer.name} reads before it answers"
        )
    least = min(request.budgets)
    for item in items:
        alone = answerer.length(prompt, Reading(item.question, ()))
        if alone > least:
            raise ExperimentError(
                f"question {item.id} alone has {alone} tokens, more than the budget of {least}"
            )


def _spread(items: list[QaItem], limit: int | None) -> list[QaItem]:
    """So many of the questions, evenly from all of the file."""
    if limit is None or limit >= len(items):
        return items
    return [items[number * len(items) // limit] for number in range(limit)]


def _texts(request: Request, items: Sequence[QaItem]) -> tuple[Texts, str | None]:
    """What stands before each question, and the digest of the index that it is from, if any."""
    if request.mode is not QaMode.PASSAGES and (request.budgets or request.reranker):
        raise ExperimentError(
            f"--budget and --rerank are for passages that are found, not for --mode {request.mode}"
        )
    if request.mode is QaMode.GOLD:
        return _only(request, {item.id: item.gold for item in items}), None
    if request.mode is QaMode.DOCUMENT:
        return _only(request, {item.id: item.document for item in items}), None
    most = max(map(request.texts, request.conditions))
    if min(request.docs) < 0:
        raise ExperimentError(f"--docs are numbers of passages, not {min(request.docs)}")
    if most == 0:
        return (lambda item, docs: ()), None
    if request.index is None:
        return _from_file(request, items), None
    search = Search(most, request.retriever, reranker=request.reranker)
    found = _found(request.index, items, search)
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
    """The passages that came with the questions, in the file's order."""
    if request.reranker is not None:
        raise ExperimentError("--rerank ranks what is found again: name an --index")
    bare = next((item.id for item in items if item.retrieved is None), None)
    if bare is not None:
        raise ExperimentError(
            f"{request.data}: question {bare} comes without passages (ctxs); name an --index"
        )
    return lambda item, docs: (item.retrieved or ())[:docs]


def _found(folder: Path, items: Sequence[QaItem], search: Search) -> dict[str, list[Text]]:
    """The best passages for each question."""
    index = open_index(folder, search.mode)
    try:
        hits = search.find(index, [item.question for item in items])
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
        "model_parameters": answerer.parameters,
        "answer_tokens": answerer.answer_tokens,
        "prompt_limit": answerer.limit,
        "index": None if request.index is None else str(request.index),
        "index_digest": digest,
        "docs": [each.docs for each in request.conditions if each.docs is not None],
        "budgets": list(request.budgets),
        "candidates": request.candidates if request.budgets else None,
        "mode": request.mode,
        "prompt": prompt,
        "retriever": request.retriever,
        "rerank": request.reranker.settings() if request.reranker else None,
        "recursive": asdict(request.drafts) if request.drafts else None,
    }
