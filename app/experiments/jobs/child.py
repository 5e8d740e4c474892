"""Running one experiment in this process, for the page that started it in another."""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from app.cli import known_error
from app.experiments.errors import ExperimentError
from app.experiments.jobs.job import (
    PROGRESS,
    RUN,
    UPLOAD,
    Job,
    Kind,
    Progress,
    Size,
    read_job,
    write_failure,
)
from app.experiments.qa.data import QaItem, read_qa
from app.experiments.run_folder import RunError
from retrieval.storage.durable import write_file

QUESTIONS, ASKED, TEXT = "questions", "asked.json", "text.txt"
DOCS = (0, 1, 4)
HITS = 20  # passages looked at where only finding is measured
ANSWER_TOKENS, PROMPT_TOKENS = 32, 2048
WINDOW, DOC_TOKENS = 256, 64
TOLD_SECONDS = 0.5  # between two notes on how far it is


@dataclass(frozen=True, slots=True)
class Amount:
    """What one size means: questions to find passages for, to answer, and tokens to read."""

    found: int
    answered: int
    tokens: int
    stride: int


AMOUNTS = {Size.QUICK: Amount(200, 20, 1000, 32), Size.THOROUGH: Amount(2000, 100, 4000, 16)}


class Track:
    """Keeps how far the run is where the page looks."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._told = folder, 0.0

    def __call__(self, what: str, done: int, total: int) -> None:
        """So many of `total` are done."""
        if done == total or time.monotonic() - self._told >= TOLD_SECONDS:
            self._told = time.monotonic()
            told = json.dumps(asdict(Progress(what, done, total)))
            write_file(self._folder / PROGRESS, told.encode())


@dataclass(frozen=True, slots=True)
class Work:
    """A job with all that it runs on."""

    job: Job
    folder: Path
    index: Path
    model: str | None
    track: Track

    @property
    def amount(self) -> Amount:
        """How much of the file is used."""
        return AMOUNTS[self.job.size]


def run_job(folder: Path, index: Path, model: str | None) -> None:
    """Run the experiment in `folder`, or go on with it; why it failed is kept there and raised."""
    work = Work(read_job(folder), folder, index, model, Track(folder))
    try:
        RUNNERS[work.job.kind](work)
    except Exception as error:
        write_failure(folder, _reason(error, work))
        raise


def find(work: Work) -> None:
    """How often a passage with an answer's words is among the first."""
    from app.experiments.retrieval.run import Request, run
    from retrieval.search import Search

    asked = [
        {"id": str(number), "question": item.question, "answers": item.answers}
        for number, item in enumerate(_questions(work), start=1)  # their ids may be anything
        if any(item.answers)
    ]
    if not asked:
        raise ExperimentError(f"{work.job.file}: no question there has an answer")
    asked = asked[:: -(-len(asked) // work.amount.found)]  # evenly, from all of the file
    data = work.folder / ASKED
    write_file(data, json.dumps(asked, ensure_ascii=False).encode())
    search = Search(HITS, work.job.mode)
    request = Request(data, search, index=work.index, dpr_depth=0, timed=20)
    run(request, work.folder / RUN, resume=True, report=work.track, say=lambda said: None)


def answer(work: Work) -> None:
    """How well questions are answered without passages and with some."""
    from app.experiments.models.open_answerer import open_answerer
    from app.experiments.qa.run import Request, run

    _questions(work)  # refuses before a model is loaded
    request = Request(
        _question_file(work),
        work.index,
        docs=DOCS,
        retriever=work.job.mode,
        limit=work.amount.answered,
    )
    answerer = open_answerer(work.model, answer_tokens=ANSWER_TOKENS, prompt_tokens=PROMPT_TOKENS)
    try:
        run(answerer, request, work.folder / RUN, resume=True, track=work.track)
    finally:
        answerer.close()


def read(work: Work) -> None:
    """Whether passages make a text less surprising to the model."""
    from app.experiments.models.open_scorer import open_scorer
    from app.experiments.perplexity.run import Request, read_text, run
    from app.experiments.perplexity.strides import Setup

    if work.model is not None and work.model.startswith(("http://", "https://")):
        raise ExperimentError("only a model on this computer can be measured in reading")
    text, stride = _kept_as(work, TEXT), work.amount.stride
    setup = Setup(stride=stride, window=WINDOW, doc_tokens=DOC_TOKENS)
    scorer = open_scorer(work.model)
    try:
        found = len(read_text(text, scorer, None).ids)
        if found <= WINDOW:
            raise ExperimentError(
                f"{work.job.file}: is too short; it has {found} tokens (word pieces), and only "
                f"what comes after the first {WINDOW} can be measured"
            )
        tokens = work.amount.tokens
        request = Request(text, work.index, None, setup, work.job.mode, max_tokens=tokens)
        run(scorer, request, work.folder / RUN, resume=True, track=work.track)
    finally:
        scorer.close()


RUNNERS = {Kind.FINDING: find, Kind.ANSWERING: answer, Kind.READING: read}


def _questions(work: Work) -> list[QaItem]:
    return read_qa(_question_file(work))


def _question_file(work: Work) -> Path:
    """The upload under a name that says what it holds: one JSON value, or a line for each."""
    for name in (f"{QUESTIONS}.json", f"{QUESTIONS}.jsonl"):
        if (work.folder / name).exists():
            return work.folder / name
    try:
        whole = json.loads((work.folder / UPLOAD).read_text("utf-8"))
    except ValueError:
        whole = None
    except RecursionError:
        raise ExperimentError(f"{work.job.file}: is nested too deeply to hold questions") from None
    is_whole = isinstance(whole, list) or (isinstance(whole, dict) and "data" in whole)
    return _kept_as(work, f"{QUESTIONS}.json" if is_whole else f"{QUESTIONS}.jsonl")


def _kept_as(work: Work, name: str) -> Path:
    if not (work.folder / name).exists():
        (work.folder / UPLOAD).rename(work.folder / name)
    return work.folder / name


def _reason(error: Exception, work: Work) -> str:
    """Why it failed, for the person who asked: files by the names they know."""
    if isinstance(error, RunError):
        return "it cannot go on: documents or model have changed since it was begun; start anew"
    if not known_error(error):
        return "something went wrong here; the server's terminal says what"
    message = str(error)
    for path in sorted(work.folder.iterdir()):
        message = message.replace(str(path), work.job.file)
    return message
