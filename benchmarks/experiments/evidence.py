"""What retrieval is worth to the bundled model: every run of docs/evidence.md, resumable.

    python -m benchmarks.experiments.evidence ../shared/data --work build/evidence
        [--only perplexity curves questions] [--out docs/evidence]

Runs that are finished in WORK are not repeated; with all of them finished only the tables are
written anew. The first 20,000 tokens of a text at stride 16, and 4,000 at the paper's stride 4.
"""

import argparse
import json
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import TypeVar

from app.experiments.models.open_answerer import open_answerer
from app.experiments.models.open_scorer import open_scorer
from app.experiments.models.scorer import Scorer
from app.experiments.perplexity.run import Request
from app.experiments.perplexity.run import run as run_perplexity
from app.experiments.perplexity.strides import Layout, Ranking, Setup
from app.experiments.qa.prompt import QaMode
from app.experiments.qa.recursive import Drafts
from app.experiments.qa.run import Request as Asked
from app.experiments.qa.run import run as run_questions
from app.experiments.run_folder import METRICS
from app.models.resolve import BUNDLED
from benchmarks.experiments.evidence_corpora import (
    federalist_papers,
    indexed,
    squad,
    wikitext_articles,
    write_texts,
)
from benchmarks.experiments.evidence_page import write_page
from benchmarks.experiments.remembering_scorer import RememberingScorer
from retrieval.encoders.encoder import load_encoder
from retrieval.storage.durable import write_file
from retrieval.types import Mode

R = TypeVar("R")
GROUPS = ("perplexity", "curves", "questions")
LONG, SHORT = 20_000, 4_000  # tokens
SETUP = Setup(stride=16)
RETRIEVERS = (Mode.BM25, Mode.DENSE, Mode.HYBRID)
QUESTIONS = 100
FAR = 12_288  # tokens, for a budget of 8,192 that the bundled model's own limit does not allow


@dataclass(frozen=True, slots=True)
class Corpora:
    """Where the texts and indexes are."""

    wikitext: Path  # the test split
    wikitext_index: Path
    papers: tuple[Path, ...]
    papers_index: Path
    questions: Path
    squad_index: Path


def prepare(data: Path, work: Path) -> Corpora:
    """Cut the texts and index what is not indexed yet."""
    encoder = load_encoder()
    papers = write_texts(work / "federalist", federalist_papers(data))
    articles = write_texts(work / "wikitext", wikitext_articles(data))
    paragraphs, asked = squad(data)
    questions = work / "questions.json"
    write_file(questions, json.dumps(asked).encode())
    return Corpora(
        data / "text" / "wikitext2.test.txt",
        indexed(articles, work / "wikitext-index", encoder),
        tuple(sorted(papers.iterdir())),
        indexed(papers, work / "federalist-index", encoder),
        questions,
        indexed(write_texts(work / "squad", paragraphs), work / "squad-index", encoder),
    )


def perplexity_runs(corpora: Corpora, scorer: Scorer) -> Iterator[tuple[str, Request]]:
    """Every retriever on both texts: long at stride 16 in both layouts, short at stride 4."""
    prepend = replace(SETUP, layout=Layout.PREPEND)
    for tokens, setup in ((LONG, SETUP), (SHORT, replace(SETUP, stride=4)), (LONG, prepend)):
        for mode in RETRIEVERS:
            name = f"{setup.layout}-{setup.stride}-{mode}"
            request = Request(corpora.wikitext, corpora.wikitext_index, None, setup, mode)
            yield f"wikitext/{name}", replace(request, max_tokens=tokens)
            for paper, size in first_papers(corpora.papers, scorer, tokens):
                request = Request(paper, corpora.papers_index, None, setup, mode)
                yield f"federalist/{name}/{paper.stem}", replace(request, max_tokens=size)


def first_papers(papers: Sequence[Path], scorer: Scorer, tokens: int) -> Iterator[tuple[Path, int]]:
    """So many tokens: of the first paper that holds them, or of papers from the first on.

    The last one is cut.
    """
    sizes = [len(scorer.encode(paper.read_text("utf-8"))) for paper in papers]
    for paper, size in zip(papers, sizes, strict=True):
        if size >= tokens:
            yield paper, tokens
            return
    for paper, size, through in zip(papers, sizes, accumulate(sizes), strict=True):
        before = through - size
        if before + 2 * SETUP.window > tokens:  # too little would be left to retrieve for
            return
        yield paper, min(size, tokens - before)


def curve_runs(corpora: Corpora) -> Iterator[tuple[str, Request]]:
    """WikiText with BM25, one setting at a time changed."""
    base = Request(
        corpora.wikitext, corpora.wikitext_index, None, SETUP, Mode.BM25, max_tokens=SHORT
    )
    for stride in (8, 16, 32, 64):
        yield f"stride/{stride}", replace(base, setup=replace(SETUP, stride=stride))
    for tokens in (8, 16, 64, 128):
        yield f"query/{tokens}", replace(base, setup=replace(SETUP, query_tokens=tokens))
    for tokens in (64, 128, 512):
        yield f"passage/{tokens}", replace(base, setup=replace(SETUP, doc_tokens=tokens))
    for number in (2, 4, 8, 16):
        request = replace(base, ranking=Ranking.LM, candidates=number)
        yield f"candidates/{number}", request
    for seed in (0, 1):
        request = replace(base, ranking=Ranking.RANDOM, seed=seed)
        yield f"ranking/random-{seed}", request
    yield "ranking/oracle", replace(base, ranking=Ranking.ORACLE)
    yield "layout/prepend", replace(base, setup=replace(SETUP, layout=Layout.PREPEND))


def question_runs(corpora: Corpora) -> Iterator[tuple[str, Asked]]:
    """Closed book, passages, budgets, the gold passage, and drafts that are compared."""
    base = Asked(corpora.questions, corpora.squad_index, limit=QUESTIONS)
    yield "passages", replace(base, budgets=(512, 2048))
    yield "gold", replace(base, mode=QaMode.GOLD)
    for seed in (0, 1):
        drafts = Drafts(3, 0.7, seed)
        yield f"drafts-{seed}", replace(base, docs=(1, 4), drafts=drafts)


def far_reader(folder: Path, out: Path) -> Path:
    """The model with a longer limit: a Jamba has no positions, so only its config changes."""
    shutil.copytree(folder, out, dirs_exist_ok=True)
    config = json.loads((out / "config.json").read_text("utf-8"))
    config["max_position_embeddings"] = FAR
    write_file(out / "config.json", json.dumps(config, indent=2).encode())
    return out


def far_run(corpora: Corpora) -> Iterator[tuple[str, Asked]]:
    """A budget beyond what the model was trained to read, beside one passage."""
    asked = Asked(corpora.questions, corpora.squad_index, docs=(1,), limit=QUESTIONS)
    yield "far", replace(asked, budgets=(8192,))


def do(work: Path, runs: Iterable[tuple[str, R]], run: Callable[[R, Path], object]) -> None:
    """Each run that is not finished, in a folder below WORK/runs."""
    for name, request in runs:
        if (out := todo(work, name)) is not None:
            began = time.perf_counter()
            run(request, out)
            print(f"{name}: {time.perf_counter() - began:.0f} s", file=sys.stderr)


def ask(work: Path, model: str | None, runs: Iterable[tuple[str, Asked]]) -> None:
    """Answer the questions of each run that is not finished."""
    answerer = open_answerer(model, answer_tokens=32, prompt_tokens=4096)
    do(
        work,
        runs,
        lambda asked, out: run_questions(answerer, asked, out, resume=out.exists(), track=quiet),
    )
    answerer.close()


def quiet(what: str, done: int, total: int) -> None:
    """Nobody watches."""


def todo(work: Path, name: str) -> Path | None:
    """The folder of a run; None if it is finished."""
    folder = work / "runs" / name
    return None if (folder / METRICS).exists() else folder


def main() -> None:
    """Do what is not done, then write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, default=Path("build") / "evidence")
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=GROUPS)
    parser.add_argument("--model", default=None, help="a folder instead of the bundled one")
    parser.add_argument("--out", type=Path, default=Path("docs") / "evidence")
    options = parser.parse_args()
    corpora = prepare(options.data, options.work)
    if "questions" in options.only:
        ask(options.work, options.model, question_runs(corpora))
        far = far_reader(Path(options.model or BUNDLED), options.work / "far-model")
        ask(options.work, str(far), far_run(corpora))
    scorer = RememberingScorer(open_scorer(options.model))

    def evaluate(request: Request, out: Path) -> None:
        run_perplexity(scorer, request, out, resume=out.exists(), track=quiet)

    if "perplexity" in options.only:
        do(options.work, perplexity_runs(corpora, scorer), evaluate)
    if "curves" in options.only:
        do(options.work, curve_runs(corpora), evaluate)
    scorer.close()
    write_page(options.work, options.out)


if __name__ == "__main__":
    main()
