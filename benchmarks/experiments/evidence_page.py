"""The finished runs as tables and pictures: FIGURES.md and PNG files."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from app.experiments.bootstrap import Array, interval
from app.experiments.perplexity.metrics import BLOCK
from app.experiments.perplexity.run import LOSSES
from app.experiments.report.finished import FinishedRun, read_run
from app.experiments.report.report import make_report
from app.experiments.report.tables import markdown
from app.experiments.run_folder import METRICS
from retrieval.storage.durable import write_file

PAGE = "figures.md"
DRAWN = ("stride", "query", "passage", "candidates", "passages")
TEXTS = {"wikitext": "WikiText-2, test", "federalist": "Federalist papers"}
REPORTS = {
    "stride": "Strides",
    "query": "Query lengths",
    "passage": "Passage lengths",
    "candidates": "Passages to choose from, by the model's likelihood (`--ranking lm`)",
    "ranking": "Which of 16 passages is read",
    "layout": "Layouts",
    "passages": "Questions: passages and budgets",
    "far": "Questions: as many passages as 8,192 tokens hold",
    "gold": "Questions: the gold passage",
    "drafts-0": "Questions: three drafts, seed 0",
    "drafts-1": "Questions: three drafts, seed 1",
}
BASE = "stride/16"  # what the curves change one setting of
BASE_IS = {  # what it is called among the others
    "query": "32",
    "passage": "256",
    "candidates": "1",
    "ranking": "first",
    "layout": "paper",
}


def write_page(work: Path, out: Path) -> None:
    """Tables and pictures of every run that is finished below WORK/runs."""
    out.mkdir(parents=True, exist_ok=True)
    runs = work / "runs"
    lines = [
        "# Figures",
        "",
        f"By `python -m benchmarks.experiments.evidence`; what they say is in [{out.name}.md]"
        f"(../{out.name}.md).",
    ]
    if any((runs / text).is_dir() for text in TEXTS):
        lines += ["", "## Perplexity a token, without passages and with", *perplexity_table(runs)]
    for name, title in REPORTS.items():
        each = [read_run(folder) for folder in finished(runs / name)]
        if name in BASE_IS and (runs / BASE / METRICS).exists():
            each.insert(0, read_run(runs / BASE, BASE_IS[name]))
        if each:
            lines += ["", f"## {title}", "", *report(each, out, name)]
    write_file(out / PAGE, "\n".join([*lines, ""]).encode())


def finished(folder: Path) -> Iterator[Path]:
    """The run in a folder, or the runs below it, by their names; only finished ones."""
    if (folder / METRICS).exists():
        yield folder
    for path in sorted(folder.glob(f"*/{METRICS}"), key=lambda path: _order(path.parent.name)):
        yield path.parent


def _order(name: str) -> tuple[int, str]:
    return (int(name) if name.isdigit() else 0, name)


def perplexity_table(runs: Path) -> list[str]:
    """A line for each text, stride and retriever; papers are taken together."""
    lines = [
        "",
        "| text | tokens | layout, stride, retriever | without | with | ratio, 95 % interval |",
        "|---|---|---|---|---|---|",
    ]
    for text, title in TEXTS.items():
        for folder in sorted((runs / text).glob("*-*-*"), key=lambda path: _key(path.name)):
            losses = pooled([*finished(folder)])
            lines.append(f"| {title} | {losses.shape[1]:,} | {folder.name} | {_figures(losses)} |")
    return lines


def _key(name: str) -> tuple[str, int, str]:
    layout, stride, mode = name.split("-")
    return layout, -int(stride), mode


def pooled(folders: Sequence[Path]) -> Array:
    """Losses (2, N) of all tokens of some runs, with passages and without, one after another."""
    each = [np.load(folder / LOSSES, allow_pickle=False) for folder in folders]
    return np.nan_to_num(np.concatenate(each, axis=1).astype(np.float64))


def _figures(losses: Array) -> str:
    ours, bare = losses
    low, high = interval([ours, bare], lambda a, b: np.exp(a - b), block=BLOCK)
    ratio = np.exp(ours.mean() - bare.mean())
    return (
        f"{np.exp(bare.mean()):.2f} | {np.exp(ours.mean()):.2f} | "
        f"{ratio:.3f} ({low:.3f} to {high:.3f})"
    )


def report(runs: Sequence[FinishedRun], out: Path, name: str) -> Iterator[str]:
    """What `report` says of these runs, with its pictures."""
    made = make_report(runs)
    for part in made.parts:
        yield markdown(part.table)
        yield "\n" + "\n".join(f"- {each.removeprefix('* ')}" for each in part.sentences)
        for picture in part.pictures if name in DRAWN else ():
            file = f"{name}-{picture.name}.png"
            write_file(out / file, picture.png)
            yield f"\n![{picture.title}]({file})"
