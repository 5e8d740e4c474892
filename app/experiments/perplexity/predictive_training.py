"""Train the predictive reranker on what an oracle run found out about its passages.

The loss is that of In-Context RALM, section 5.2: the language model stays as it is, and the
reranker learns to give weight to passages under which the coming tokens were likelier.
"""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.experiments.errors import ExperimentError
from app.experiments.perplexity.predictive import CARD, load_cross_encoder, scores
from app.experiments.perplexity.run import RETRIEVAL, STRIDES
from app.experiments.perplexity.strides import Ranking
from app.experiments.run_folder import METRICS, SETTINGS, digest_of
from retrieval.storage.durable import write_file
from retrieval.training.training_state import restore_state, save_state

if TYPE_CHECKING:
    from torch import Tensor

STATE = "state.safetensors"
HELD_OUT = 0.1  # of each run, at its end


@dataclass(frozen=True, slots=True)
class Example:
    """The end of a text, passages for it, and the loss of the coming tokens after each."""

    query: str
    passages: tuple[str, ...]
    losses: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Training:
    """Settings of a run; the defaults are the paper's."""

    steps: int = 10_000
    batch_size: int = 32
    learning_rate: float = 1e-5
    seed: int = 1
    save_every: int = 200


def read_run(folder: Path) -> list[Example]:
    """The strides of a finished perplexity run with --ranking oracle; raises ExperimentError."""
    try:
        settings = json.loads((folder / SETTINGS).read_text("utf-8"))["settings"]
        found = json.loads((folder / RETRIEVAL).read_text("utf-8"))
        lines = (folder / STRIDES).read_text("utf-8").splitlines()
        strides = [json.loads(line) for line in lines]
    except (OSError, ValueError, KeyError) as error:
        raise ExperimentError(f"{folder}: holds no perplexity run ({error})") from None
    if settings.get("ranking") != Ranking.ORACLE or not (folder / METRICS).exists():
        raise ExperimentError(
            f"{folder}: a reranker learns from a finished run with --ranking oracle"
        )
    return [
        Example(
            record["query"],
            tuple(f"{d['title']}\n{d['text']}" if d["title"] else d["text"] for d in docs),
            tuple(stride["judged"]),
        )
        for record, stride in zip(found, strides, strict=True)
        if len(docs := record["retrieved_docs"]) > 1
    ]


def split(runs: Sequence[Sequence[Example]]) -> tuple[list[Example], list[Example]]:
    """Examples to train on, and those held out: the end of each run, as neighbours are alike.

    Raises ExperimentError where either would be empty.
    """
    training: list[Example] = []
    held_out: list[Example] = []
    for examples in runs:
        first = len(examples) - round(HELD_OUT * len(examples))
        training += examples[:first]
        held_out += examples[first:]
    if not training or not held_out:
        raise ExperimentError("the runs have too few strides with several passages to learn from")
    return training, held_out


def train(
    runs: Sequence[Path],
    base: Path | str,
    out: Path,
    settings: Training,
    report: Callable[[int, int, float], None],
) -> dict[str, Any]:
    """Train into `out`, going on from a saved state there; returns what was reached.

    Mean losses of a stride of the held-out part, in nats: under the retriever's first passage, the
    reranker's choice and the best of all. Raises ExperimentError.
    """
    import torch

    examples, held_out = split([read_run(run) for run in runs])
    torch.manual_seed(settings.seed)
    model, tokenizer = load_cross_encoder(base)
    model.to("cuda" if torch.cuda.is_available() else "cpu").train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate)
    out.mkdir(parents=True, exist_ok=True)
    _claim(out, runs, base, settings)
    for step in range(restore_state(out / STATE, model, optimizer), settings.steps):
        torch.manual_seed(settings.seed * 1_000_003 + step)  # dropout repeats after a resume
        drawn = random.Random(f"{settings.seed} {step}").choices(examples, k=settings.batch_size)
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * (1 - step / settings.steps)
        loss = _step(model, tokenizer, optimizer, drawn)
        report(step + 1, settings.steps, loss)
        if (step + 1) % settings.save_every == 0 or step + 1 == settings.steps:
            save_state(out / STATE, model, optimizer, step + 1)
    reached = _reached(model.eval(), tokenizer, held_out)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    card = {"settings": asdict(settings), "examples": len(examples), "held_out": reached}
    write_file(out / CARD, (json.dumps(card, indent=2) + "\n").encode())
    return {"examples": len(examples), **reached}


def marginal_loss(given: "Tensor", losses: "Tensor") -> "Tensor":
    """-log of the sum over k passages of p(passage) * p(coming tokens | passage).

    `given` (k,) are the reranker's scores, `losses` (k,) the language model's in nats.
    """
    return -(given.log_softmax(0) - losses).logsumexp(0)


def _step(model: Any, tokenizer: Any, optimizer: Any, examples: Sequence[Example]) -> float:
    """One update; the mean marginal loss of the examples."""
    import torch

    queries, passages = [e.query for e in examples], [e.passages for e in examples]
    given = scores(model, tokenizer, queries, passages)
    known = [torch.tensor(e.losses, device=model.device) for e in examples]
    loss = torch.stack([marginal_loss(*pair) for pair in zip(given, known, strict=True)]).mean()
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return float(loss.detach())


def _reached(model: Any, tokenizer: Any, held_out: Sequence[Example]) -> dict[str, float]:
    import torch

    chosen = 0.0
    with torch.inference_mode():
        for example in held_out:
            given = scores(model, tokenizer, [example.query], [example.passages])[0]
            chosen += example.losses[int(given.argmax())]
    count = len(held_out)
    return {
        "strides": count,
        "first": sum(e.losses[0] for e in held_out) / count,
        "reranked": chosen / count,
        "oracle": sum(min(e.losses) for e in held_out) / count,
    }


def _claim(out: Path, runs: Sequence[Path], base: Path | str, settings: Training) -> None:
    """Write down what `out` is trained on; raises ExperimentError where it is something else."""
    claim = {
        "base": str(base),
        "runs": [digest_of([run / STRIDES, run / RETRIEVAL]) for run in runs],
        **asdict(settings),
    }
    path = out / "training.json"
    if (out / CARD).exists():
        raise ExperimentError(f"{out}: holds a finished reranker; name another folder")
    if path.exists() and json.loads(path.read_text("utf-8")) != claim:
        raise ExperimentError(f"{out}: was begun with other runs or settings; name another folder")
    write_file(path, (json.dumps(claim, indent=2) + "\n").encode())
