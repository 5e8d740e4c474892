"""Perplexity with retrieval: ours beside the plain transformers loop, on the same Jamba weights.

    python -m benchmarks.experiments.bench_ralm TEXT CORPUS [--model FOLDER] [--window 1024]
        [--doc-tokens 256]
                                    [--stride 4] [--strides 64] [--rounds 3] [--json]

TEXT and CORPUS are text files, say WikiText-2's test and validation parts. CORPUS is cut into
passages and searched by BM25, so that passages change from stride to stride as they do in an
experiment. The loop reads one window a stride, with its passage and without, and computes all
logits; ours gives the same perplexity. The model defaults to the bundled one; both sides run in
float32 on the same threads, in turn.
"""

import argparse
import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from app.experiments.models.jamba_scorer import JambaScorer
from app.experiments.perplexity.evaluation import Evaluation
from app.experiments.perplexity.leakage import Guard
from app.experiments.perplexity.retrieval_file import Retrieved
from app.experiments.perplexity.retrieve import Search, retrieve
from app.experiments.perplexity.strides import Layout, Ranking, Setup, Stride, plan
from app.models.resolve import BUNDLED
from retrieval.index import Index
from retrieval.ingest.writer import IndexWriter
from retrieval.types import Extracted, Mode

AIMS = {Layout.PAPER: 4.0, Layout.PREPEND: 5.0}  # times as fast as the loop
SAME = 1e-3  # perplexities differ at most by this


@dataclass(frozen=True, slots=True)
class Work:
    """Strides of a text, each with what was retrieved for it."""

    ids: Sequence[int]
    strides: Sequence[Stride]
    found: Sequence[Retrieved]
    setup: Setup


def main() -> None:
    """Run both layouts; print a table, or with --json one object."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("text", type=Path)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--model", type=Path, default=BUNDLED)
    parser.add_argument("--window", type=int, default=1024)
    parser.add_argument("--doc-tokens", type=int, default=256)
    parser.add_argument("--stride", type=int, default=4)
    parser.add_argument("--strides", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    scorer = JambaScorer(options.model, options.model.name)
    with tempfile.TemporaryDirectory() as folder:
        index = indexed(options.corpus, Path(folder))
        works = {layout: prepared(layout, scorer, index, options) for layout in Layout}
        index.close()
    found = {
        "model": options.model.name,
        "threads": torch.get_num_threads(),
        "rounds": options.rounds,
        "layouts": {
            layout: measured(work, scorer, options) | {"aim": AIMS[layout]}
            for layout, work in works.items()
        },
    }
    print(json.dumps(found)) if options.json else show(found)


def indexed(corpus: Path, folder: Path) -> Index:
    """The corpus as passages of about 100 words, for BM25 alone."""
    with IndexWriter(folder / "index", None) as writer:
        text = corpus.read_text("utf-8")
        writer.add("corpus", corpus.name, Extracted("", text, (), "text/plain"))
        writer.commit()
    return Index.open(folder / "index")


def prepared(
    layout: Layout, scorer: JambaScorer, index: Index, options: argparse.Namespace
) -> Work:
    """The strides behind the first window, with their passages."""
    sizes = (options.stride, options.window, options.doc_tokens)
    setup = Setup(layout, *sizes, step=options.window // 2)
    tokens = options.window + options.strides * options.stride
    text = options.text.read_text("utf-8")[: 8 * tokens]  # more than that many tokens
    ids = scorer.encode(text)[:tokens]
    strides = [s for s in plan(len(ids), setup) if s.begin >= options.window]
    search = Search(Mode.BM25, 1, setup.query_tokens)
    found = list(retrieve(index, ids, strides, scorer.decode, search, Guard(text, "")))
    return Work(ids, strides, found, setup)


def measured(work: Work, scorer: JambaScorer, options: argparse.Namespace) -> dict[str, Any]:
    """Median seconds of both, their ratio, and both perplexities with retrieval and without."""
    loop = TransformersLoop(options.model, scorer)
    few = Work(work.ids, work.strides[:2], work.found[:2], work.setup)
    runs: dict[str, Callable[[Work], list[float]]] = {"ours": lambda w: ours(w, scorer)}
    runs["transformers"] = loop
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    perplexities = {}
    for run in runs.values():
        run(few)  # compiles and warms up
    for _ in range(options.rounds):
        for name, run in runs.items():
            began = time.perf_counter()
            perplexities[name] = run(work)
            seconds[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    pairs = zip(perplexities["ours"], perplexities["transformers"], strict=True)
    return {
        "strides": len(work.strides),
        "passages": len({each.candidates[:1] for each in work.found}),
        "seconds": medians,
        "times_as_fast": medians["transformers"] / medians["ours"],
        "perplexity": perplexities,
        "same": all(abs(a - b) <= SAME * b for a, b in pairs),
    }


def ours(work: Work, scorer: JambaScorer) -> list[float]:
    """Perplexity a token with retrieval and without, as `eval perplexity` computes it."""
    evaluation = Evaluation(scorer, work.ids, work.setup, Ranking.FIRST, lambda found: 0)
    scored = list(chain(*evaluation.units(work.strides, work.found)))
    both = ([each.losses for each in scored], [each.without for each in scored])
    return [math.exp(statistics.fmean(chain(*losses))) for losses in both]


class TransformersLoop:
    """One forward of transformers a stride, first with the passage and then without."""

    def __init__(self, folder: Path, scorer: JambaScorer) -> None:
        from transformers import JambaForCausalLM

        self._model = JambaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self._encode = scorer.encode

    def __call__(self, work: Work) -> list[float]:
        """Perplexity a token with retrieval and without."""
        totals = [0.0, 0.0]
        tokens = torch.tensor(work.ids)
        for stride, found in zip(work.strides, work.found, strict=True):
            text = self._encode(found.candidates[0].read) if found.candidates else []
            for place, passage in enumerate((text[: work.setup.doc_tokens], [])):
                taken = len(passage) if work.setup.layout is Layout.PAPER else 0
                window = tokens[stride.window + taken : stride.end]
                read = torch.cat([torch.tensor(passage, dtype=torch.int64), window])
                totals[place] += self._loss(read, stride.end - stride.begin)
        count = work.strides[-1].end - work.strides[0].begin
        return [math.exp(total / count) for total in totals]

    def _loss(self, read: torch.Tensor, scored: int) -> float:
        with torch.inference_mode():
            logits = self._model(read[None], use_cache=False).logits[0]
            return float(F.cross_entropy(logits[-scored - 1 : -1], read[-scored:], reduction="sum"))


def show(found: dict[str, Any]) -> None:
    """The result as a table on standard output."""
    print(f"{found['model']}, {found['threads']} threads, medians of {found['rounds']} rounds")
    print(f"{'':10}{'ours s':>10}{'loop s':>10}{'ratio':>8}{'aim':>6}{'same':>7}{'passages':>10}")
    for layout, result in found["layouts"].items():
        times = result["seconds"]
        print(
            f"{layout:10}{times['ours']:10.2f}{times['transformers']:10.2f}"
            f"{result['times_as_fast']:8.1f}{result['aim']:6.1f}{result['same']!s:>7}"
            f"{result['passages']:10}"
        )


if __name__ == "__main__":
    main()
