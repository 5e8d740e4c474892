"""Questions asked of an index, and how good the rankings are.

Two kinds of figure that are never mixed. Judged: documents that people marked as right, measured by
ir-measures under its names (nDCG@10, R@20, Success@5). Answer strings, `AnswerString@K`: a passage
among the best K holds an answer's words, which says nothing about whether it answers.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from retrieval.evaluation.runs import write_run
from retrieval.evaluation.tasks import Qrels, Task, read_queries, read_task
from retrieval.index import Index
from retrieval.search import Search
from retrieval.types import Hit

__all__ = ["Task", "ask_all", "measure", "read_queries", "read_task", "write_run"]

BATCH = 256  # queries searched together
MEASURES = ("nDCG@10", "R@20", "R@100", "Success@1", "Success@5", "Success@20")
CUTOFFS = (1, 2, 3, 5, 10, 20, 50, 100)
ANSWER_CUTOFFS = (1, 5, 20, 100)
PerQuery = dict[str, dict[str, float]]  # a figure from 0 to 1 by query and measure


def ask_all(
    index: Index, queries: Mapping[str, str], search: Search
) -> Iterator[tuple[str, list[Hit]]]:
    """The hits of each query, a batch of queries at a time, so that memory stays small."""
    ids = list(queries)
    for start in range(0, len(ids), BATCH):
        batch = ids[start : start + BATCH]
        yield from zip(batch, search.find(index, [queries[id] for id in batch]), strict=True)


def measure(
    qrels: Qrels, ranked: Mapping[str, Sequence[str]], measures: Sequence[str] = MEASURES
) -> dict[str, float]:
    """The mean of each measure in percent over the judged queries; one without hits counts 0.

    `ranked` holds passage ids, best first: ties stay as we broke them.
    """
    return means(measure_each(qrels, ranked, measures), measures)


def measure_each(
    qrels: Qrels, ranked: Mapping[str, Sequence[str]], measures: Sequence[str] = MEASURES
) -> PerQuery:
    """Each measure of each judged query, from 0 to 1; 0 for one without hits."""
    import ir_measures

    run = {
        query_id: {passage_id: float(len(ids) - rank) for rank, passage_id in enumerate(ids)}
        for query_id, ids in ranked.items()
    }
    names = {ir_measures.parse_measure(name): name for name in measures}
    judged = {query_id: dict(grades) for query_id, grades in qrels.items()}
    values: PerQuery = {query_id: dict.fromkeys(measures, 0.0) for query_id in judged}
    for found in ir_measures.iter_calc(list(names), judged, run):
        values[found.query_id][names[found.measure]] = float(found.value)
    return values


def match_answers(
    ranks: Mapping[str, int | None], cutoffs: Iterable[int] = ANSWER_CUTOFFS
) -> PerQuery:
    """`AnswerString@K` of each query: 1 where the first passage with an answer is among the K.

    `ranks` are the 1-based ranks of those passages; None where there was none.
    """
    return {
        query_id: {f"AnswerString@{k}": float(rank is not None and rank <= k) for k in cutoffs}
        for query_id, rank in ranks.items()
    }


def means(values: PerQuery, measures: Sequence[str]) -> dict[str, float]:
    """The mean over all queries, in percent; 0 where there are none."""
    count = max(1, len(values))
    return {name: 100 * sum(each[name] for each in values.values()) / count for name in measures}
