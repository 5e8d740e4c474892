"""The figures of a retrieval run, and the files they and the rankings are kept in."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.experiments import plots
from app.experiments.retrieval.plots import latency_plot, recall_plot
from retrieval.evaluation import evaluate, runs
from retrieval.evaluation.answer_match import answer_rank
from retrieval.evaluation.tasks import Task
from retrieval.records import Scored
from retrieval.storage.durable import write_file
from retrieval.types import Passage

if TYPE_CHECKING:
    from retrieval.index import Index

RUN, DPR = "run.trec", "results.dpr.json"
PER_QUERY, RECALL, LATENCY = "per_query.jsonl", "recall.png", "latency.png"
Found = dict[str, list[Scored]]


@dataclass(frozen=True, slots=True)
class Figures:
    """Every figure of every question, from 0 to 1; judged and answer strings apart."""

    judged: evaluate.PerQuery
    answers: evaluate.PerQuery


def measure(index: "Index", task: Task, found: Found, k: int) -> Figures:
    """Judged figures where there are judgements, answer strings where there are answers."""
    ranked = {query: [hit.passage_id for hit in hits] for query, hits in found.items()}
    judged = {}
    if task.qrels:
        names = [*_within(evaluate.MEASURES, k), *(f"R@{n}" for n in evaluate.CUTOFFS if n <= k)]
        judged = evaluate.measure_each(task.qrels, ranked, list(dict.fromkeys(names)))
    ranks = {
        query: answer_rank([p.text for p in index.passages(ranked.get(query, []))], answers)
        for query, answers in task.answers.items()
    }
    cutoffs = {n for n in (*evaluate.CUTOFFS, *evaluate.ANSWER_CUTOFFS) if n <= k}
    return Figures(judged, evaluate.match_answers(ranks, sorted(cutoffs)))


def summary(task: Task, figures: Figures, k: int) -> dict[str, Any]:
    """The figures in percent: `metrics` are judged, `answer_metrics` count answer strings."""
    cutoffs = [n for n in evaluate.CUTOFFS if n <= k]
    curves = {}
    if figures.judged:
        curves["judged"] = _curve(figures.judged, "R", cutoffs)
    if figures.answers:
        curves["answer_string"] = _curve(figures.answers, "AnswerString", cutoffs)
    names = [f"AnswerString@{n}" for n in evaluate.ANSWER_CUTOFFS if n <= k]
    return {
        "metrics": _rounded(figures.judged, _within(evaluate.MEASURES, k)),
        "answer_metrics": _rounded(figures.answers, names),
        "questions": {
            "asked": len(task.queries),
            "judged": len(task.qrels),
            "with_answers": len(task.answers),
        },
        "curves": curves,
    }


def write_rankings(path: Path, index: "Index", task: Task, found: Found, dpr_depth: int) -> None:
    """The TREC run, and DPR's format with the best `dpr_depth` passages unless that is 0."""
    runs.write_run(path / RUN, found.items())
    if dpr_depth:
        runs.write_dpr(path / DPR, _dpr_items(index, task, found, dpr_depth))


def _dpr_items(
    index: "Index", task: Task, found: Found, depth: int
) -> Iterator[tuple[str, str, Sequence[str], list[tuple[Passage, float]]]]:
    for query, hits in found.items():
        best = hits[:depth]
        passages = index.passages([hit.passage_id for hit in best])
        scores = [hit.score for hit in best]
        answers = task.answers.get(query, ())
        yield query, task.queries[query], answers, list(zip(passages, scores, strict=True))


def write_figures(path: Path, figures: Figures) -> None:
    """One line a question with all its figures."""
    queries = dict.fromkeys([*figures.judged, *figures.answers])
    lines = (
        {"query": query, **figures.judged.get(query, {}), **figures.answers.get(query, {})}
        for query in queries
    )
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    write_file(path / PER_QUERY, text.encode())


def draw(path: Path, curves: Mapping[str, Any], seconds: Sequence[float]) -> None:
    """The two pictures; none where there is nothing to show."""
    if any(curves.values()):
        write_file(path / RECALL, plots.draw(recall_plot({path.name: curves})))
    if seconds:
        write_file(path / LATENCY, plots.draw(latency_plot(seconds)))


def _within(measures: Sequence[str], k: int) -> list[str]:
    """Those that look at no more than the `k` hits there are."""
    return [name for name in measures if int(name.partition("@")[2]) <= k]


def _rounded(values: evaluate.PerQuery, names: Sequence[str]) -> dict[str, float]:
    if not values:
        return {}
    return {name: round(value, 2) for name, value in evaluate.means(values, names).items()}


def _curve(values: evaluate.PerQuery, name: str, cutoffs: Sequence[int]) -> dict[int, float]:
    found = _rounded(values, [f"{name}@{k}" for k in cutoffs])
    return {k: found[f"{name}@{k}"] for k in cutoffs}
