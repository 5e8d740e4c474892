"""Which fusion, and which parameter: chosen on tuning splits, reported on what was not tuned on.

    python -m benchmarks.retrieval.tune_fusion ../shared/data --cache CACHE
    python -m benchmarks.retrieval.tune_fusion ../shared/data --cache CACHE --report
    python -m benchmarks.retrieval.tune_fusion ../shared/data --cache CACHE --write

The first prints each rule and parameter on SQuAD's tuning articles and on the small collections:
nDCG@10 of each, their mean, and top-1 and top-5 of SQuAD. The best mean is the one to ship.

--report never shows a question to its own tuning. SQuAD's are those of the reporting articles, with
the parameter that the first table chooses. A small collection's fold is asked with the parameter
that SQuAD's tuning articles and the other four folds of every collection choose. Each row is tested
against what ships today. --write keeps both, with a picture, and what ships against plain library
calls on all questions: results/fusion.md, docs/retrieval/fusion.png. CACHE keeps indexes and
vectors, outside the repository.
"""

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import mean

from app.experiments.plots import Curve, Plot, Point, draw
from app.experiments.significance import compare, in_words
from benchmarks.retrieval.bench_retrieval import PICTURES, RESULTS
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
TOPS = ("Success@1", "Success@5", "Success@20")
MEASURES = (MEASURE, *TOPS)
# Plain library calls on all questions: BM25, MiniLM, and both with dense weight 0.5 and 0.7.
PLAIN = {
    (SQUAD, "Success@1"): (69.4, 64.8, 74.6, 76.9),
    (SQUAD, "Success@5"): (87.9, 88.0, 92.2, 93.4),
    (SQUAD, "Success@20"): (94.7, 96.8, 97.7, 98.0),
    ("cranfield", MEASURE): (36.6, 40.0, 41.2, 43.2),
    ("cacm", MEASURE): (47.5, 40.9, 54.1, 56.3),
    ("med", MEASURE): (66.5, 78.8, 75.0, 77.8),
    ("vaswani", MEASURE): (43.7, 43.4, 50.9, 52.1),
}
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
    heads = [*names, "mean", *([f"{SQUAD} top-1", "top-5"] if SQUAD in parts else [])]
    lines = [f"| rule | {' | '.join(heads)} |", f"|---|{'---|' * len(heads)}"]
    best = chosen(sets, values)
    for rule in values[names[0]]:
        cells = [average(values[name][rule], parts[name]) for name in names]
        tops = [
            average(values[SQUAD][rule], parts[SQUAD], name) for name in TOPS[:2] if SQUAD in parts
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


def against_plain(sets: Sequence[Prepared], values: Values) -> str:
    """What ships against the best of the plain calls, on all questions of each collection."""
    lines = [
        f"| | BM25 | MiniLM | 0.5 | 0.7 | {DEFAULT} (ships) | above the best |",
        "|---|---|---|---|---|---|---|",
    ]
    for (name, measure), plain in PLAIN.items():
        if name not in values:
            continue
        ours = average(values[name][DEFAULT], list(values[name][DEFAULT]), measure)
        cells = " | ".join(f"{value:.1f}" for value in [*plain, ours])
        lines.append(f"| {name}, {measure} | {cells} | {ours - max(plain):+.1f} |")
    return "\n".join(lines)


def picture(sets: Sequence[Prepared], values: Values) -> bytes:
    """nDCG@10 of every collection's tuning part by the dense share of the convex rule."""
    rules = [rule for rule in GRID if rule.method is Method.CONVEX]
    curves = [
        Curve(
            one.name,
            tuple(
                Point(rule.parameter, average(values[one.name][rule], tuning(one)))
                for rule in rules
            ),
            colour,
        )
        for colour, one in enumerate(sets)
    ]
    title = "BM25 and MiniLM, one list"
    return draw(Plot("fusion", title, "dense share", "nDCG@10, %", tuple(curves), ticks=False))


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
    parser.add_argument("--write", action="store_true", help="keep tables and picture")
    options = parser.parse_args()
    assert len(next(iter(SPLITS["folds"].values()))) == len(FOLDS)
    sets = [prepare(name, options.data, options.cache) for name in options.collections]
    values = {one.name: measured(one, GRID) for one in sets}
    best = f"best mean: {chosen(sets, values)}; ships: {DEFAULT}"
    if options.write:
        write(sets, values, best)
    elif options.report:
        print("\n".join(report(sets, values)))
    else:
        print(f"{table(sets, values)}\n\n{best}\n\n{against_plain(sets, values)}")


def write(sets: Sequence[Prepared], values: Values, best: str) -> None:
    """The tables as results/fusion.md, the picture for the docs."""
    encoder = sets[0].index.encoder
    number = "int8" if encoder and encoder.in_int8() else "float32"
    text = [
        "# Fusion",
        f"`python -m benchmarks.retrieval.tune_fusion DATA --cache CACHE --write`; {number}",
        "## On the tuning splits of benchmarks/splits.json (nDCG@10, top-1, top-5; percent)",
        f"{table(sets, values)}\n\n{best}",
        "## On what was not tuned on",
        "\n".join(f"- {line}" for line in report(sets, values)),
        "## Against plain library calls, all questions",
        against_plain(sets, values),
    ]
    (RESULTS / "fusion.md").write_text("\n\n".join(text) + "\n", "utf-8")
    PICTURES.mkdir(exist_ok=True)
    (PICTURES / "fusion.png").write_bytes(picture(sets, values))


if __name__ == "__main__":
    main()
