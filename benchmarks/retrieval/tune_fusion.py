"""Which fusion, and which parameter: chosen on tuning splits, reported on what was not tuned on.

    python -m benchmarks.retrieval.tune_fusion ../shared/data --cache CACHE
    python -m benchmarks.retrieval.tune_fusion ../shared/data --cache CACHE --report

The first prints each rule and parameter on SQuAD's tuning articles and on the small collections:
nDCG@10 of each, their mean, and top-1 and top-5 of SQuAD. The best mean is the one to ship.

--report never shows a question to its own tuning. SQuAD's are those of the reporting articles, with
the parameter that the first table chooses. A small collection's fold is asked with the parameter
that SQuAD's tuning articles and the other four folds of every collection choose. Each row is tested
against what ships today. CACHE keeps indexes and vectors, outside the repository.
"""

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import mean

from app.experiments.significance import compare, in_words
from benchmarks.retrieval.prepared import (
    SMALL,
    SPLITS,
    SQUAD,
    Hits,
    Prepared,
    fold_queries,
    prepare,
    squad_queries,
)
from retrieval.evaluation.evaluate import PerQuery, measure_each
from retrieval.fusion import DEFAULT, Fusion, Method, hybrid
from retrieval.records import Scored
from retrieval.types import Hit, Mode

GRID = [
    *(Fusion(Method.CONVEX, round(0.05 * step, 2)) for step in range(21)),
    *(Fusion(Method.RRF, float(constant)) for constant in (1, 5, 10, 20, 40, 60, 100)),
    *(Fusion(Method.SUM, float(weight)) for weight in (1, 5, 10, 20, 40, 80)),
]
MEASURE = "nDCG@10"
MEASURES = (MEASURE, "Success@1", "Success@5")
K = 20
FOLDS = range(5)
Values = Mapping[str, Mapping[Fusion, PerQuery]]  # by collection and rule


def measured(one: Prepared, rules: Iterable[Fusion]) -> dict[Fusion, PerQuery]:
    """Every measure of every question under every rule."""
    asked = list(one.task.queries)
    lexical, dense = (scored(one.found(asked, mode)) for mode in (Mode.BM25, Mode.DENSE))
    return {
        rule: measure_each(
            one.task.qrels,
            {q: ids(hybrid(lexical[q], dense[q], K, fusion=rule)) for q in asked},
            MEASURES,
        )
        for rule in rules
    }


def scored(found: Hits) -> dict[str, list[Scored]]:
    """What fusion takes; ids are shared, for there are a million of them."""
    return {
        query: [Scored(sys.intern(hit.passage_id), hit.score) for hit in hits]
        for query, hits in found.items()
    }


def ids(hits: Sequence[Hit]) -> list[str]:
    return [hit.passage_id for hit in hits]


def tuning(one: Prepared, held_out: int | None = None) -> list[str]:
    """SQuAD's tuning articles; of a small collection all folds but the one held out."""
    if one.name == SQUAD:
        return squad_queries(one.task, "tuning")
    return fold_queries(one.name, one.task, [fold for fold in FOLDS if fold != held_out])


def average(values: PerQuery, queries: Sequence[str], name: str = MEASURE) -> float:
    """In percent."""
    return 100 * mean(values[query][name] for query in queries)


def chosen(sets: Sequence[Prepared], values: Values, held_out: int | None = None) -> Fusion:
    """The rule with the best mean over the collections' tuning parts; the earlier of equals."""
    parts = {one.name: tuning(one, held_out) for one in sets}
    return max(
        values[sets[0].name],
        key=lambda rule: mean(average(values[name][rule], parts[name]) for name in parts),
    )


def table(sets: Sequence[Prepared], values: Values) -> str:
    """A row a rule: nDCG@10 of every tuning part, their mean, and SQuAD's top-1 and top-5."""
    parts = {one.name: tuning(one) for one in sets}
    names = list(parts)
    lines = [
        f"| rule | {' | '.join(names)} | mean | {SQUAD} top-1 | top-5 |",
        f"|---|{'---|' * (len(names) + 3)}",
    ]
    best = chosen(sets, values)
    for rule in values[names[0]]:
        cells = [average(values[name][rule], parts[name]) for name in names]
        tops = [
            average(values[SQUAD][rule], parts[SQUAD], name)
            for name in MEASURES[1:]
            if SQUAD in parts
        ]
        shown = " | ".join(f"{cell:.2f}" for cell in [*cells, mean(cells), *tops])
        lines.append(
            f"| {'**' if rule == best else ''}{rule}{'**' if rule == best else ''} | {shown} |"
        )
    return "\n".join(lines)


def report(sets: Sequence[Prepared], values: Values) -> list[str]:
    """For each collection the rule chosen elsewhere against the one that ships, in words."""
    lines = []
    for one in sets:
        parts = (
            {chosen(sets, values): squad_queries(one.task, "reporting")}
            if one.name == SQUAD
            else by_rule(one, sets, values)
        )
        pairs = [
            (100 * values[one.name][DEFAULT][q][MEASURE], 100 * values[one.name][rule][q][MEASURE])
            for rule, queries in parts.items()
            for q in queries
        ]
        found = compare(MEASURE, [pair[0] for pair in pairs], [pair[1] for pair in pairs])
        rules = ", ".join(map(str, parts))
        lines.append(f"{one.name}: {in_words(found, f'{DEFAULT} (ships)', rules)}")
    return lines


def by_rule(one: Prepared, sets: Sequence[Prepared], values: Values) -> dict[Fusion, list[str]]:
    """Each fold's questions under the rule that the other folds chose."""
    found: dict[Fusion, list[str]] = {}
    for fold in FOLDS:
        queries = fold_queries(one.name, one.task, [fold])
        found.setdefault(chosen(sets, values, fold), []).extend(queries)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--report", action="store_true", help="what was not tuned on")
    parser.add_argument("--collections", nargs="+", default=[SQUAD, *SMALL], help="only these")
    options = parser.parse_args()
    assert len(next(iter(SPLITS["folds"].values()))) == len(FOLDS)
    sets = [prepare(name, options.data, options.cache) for name in options.collections]
    values = {one.name: measured(one, GRID) for one in sets}
    if options.report:
        print("\n".join(report(sets, values)))
    else:
        print(table(sets, values))
        print(f"\nbest mean: {chosen(sets, values)}; ships: {DEFAULT}")


if __name__ == "__main__":
    main()
