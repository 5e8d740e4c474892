"""What int8 weights cost and save: memory, logits and perplexity on real text, model by model.

    python -m benchmarks.engine.bench_quantise ../shared/data/text/wikitext2.test.txt [--windows 16]

The bundled checkpoint and the 52 M reference model with random weights read the same windows of 512
tokens of the text. The error of logits is the length of their difference over their own length, the
mean over positions; beside it stands the error that one position in a hundred exceeds: where two
experts are nearly as likely, a router may choose the other one. Aims for experts-int8: at most 2 %
of the logits, 0.5 % of the perplexity, 0.27 of the experts' memory; exits with 1 where one is
missed.
"""

import argparse
import json
import math
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from app.models.resolve import BUNDLED
from benchmarks.engine.reference_models import make
from jamba.config import Quantisation
from jamba.network.experts import MixtureOfExperts
from jamba.network.model import Jamba
from jamba.network.weights import load_model
from jamba.tokens.chat import load_tokenizer

WINDOW = 512  # tokens
AIMS = {"logits_error": 0.02, "perplexity_change": 0.005, "experts_memory": 0.27}


@dataclass(frozen=True, slots=True)
class Row:
    """One model under one quantisation against itself in float32, in shares but for perplexity."""

    model: str
    quantisation: str
    memory: float
    experts_memory: float
    logits_error: float
    logits_error_p99: float
    perplexity: float
    perplexity_change: float


def main() -> None:
    """Measure both models; print a table, or with --json one object."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("text", type=Path)
    parser.add_argument("--windows", type=int, default=16)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    ids = windows(options.text, options.windows)
    with tempfile.TemporaryDirectory() as folder:
        models = {"bundled": BUNDLED, "52M random": make("52M", Path(folder))}
        rows = [row for name, path in models.items() for row in compare(name, path, ids)]
    missed = [aim for aim in AIMS if any(is_missed(row, aim) for row in rows)]
    if options.json:
        print(json.dumps({"rows": [asdict(row) for row in rows], "missed": missed}))
    else:
        show(rows, missed)
    sys.exit(bool(missed))


def windows(text: Path, count: int) -> Tensor:
    """The first tokens (count, WINDOW) of a text, by the bundled tokenizer."""
    characters = text.read_text(encoding="utf-8")[: count * WINDOW * 8]
    ids = load_tokenizer(BUNDLED).encode(characters)
    return torch.tensor(ids[: count * WINDOW]).view(count, WINDOW)


def compare(name: str, folder: Path, ids: Tensor) -> list[Row]:
    """A row for each quantisation."""
    exact = load_model(folder)
    rows = []
    for kind in (kind for kind in Quantisation if kind is not Quantisation.NONE):
        model = load_model(folder, quantisation=kind)
        errors, loss, exact_loss = distances(model, exact, ids)
        rows.append(
            Row(
                model=name,
                quantisation=kind,
                memory=size(model) / size(exact),
                experts_memory=experts_size(model) / experts_size(exact),
                logits_error=float(errors.mean()),
                logits_error_p99=float(errors.quantile(0.99)),
                perplexity=math.exp(loss),
                perplexity_change=abs(math.expm1(loss - exact_loss)),
            )
        )
    return rows


def distances(model: Jamba, exact: Jamba, ids: Tensor) -> tuple[Tensor, float, float]:
    """Relative error of the logits at each position, and the mean loss of both in nats a token."""
    errors, losses = [], torch.zeros(2, dtype=torch.float64)
    for window in ids:
        ours, theirs = model.logits(window[None])[0], exact.logits(window[None])[0]
        errors.append((ours - theirs).norm(dim=-1) / theirs.norm(dim=-1))
        losses += torch.stack([F.cross_entropy(x[:-1], window[1:]) for x in (ours, theirs)])
    loss, exact_loss = (losses / len(ids)).tolist()
    return torch.cat(errors), loss, exact_loss


def size(model: torch.nn.Module) -> int:
    """Bytes of a module's weights and scales."""
    return sum(tensor.nbytes for tensor in model.state_dict().values())


def experts_size(model: Jamba) -> int:
    """Bytes of all experts."""
    blocks = [module for module in model.modules() if isinstance(module, MixtureOfExperts)]
    return sum(size(block.experts) for block in blocks)


def is_missed(row: Row, aim: str) -> bool:
    """Whether a row of ExpertsInt8 misses an aim; the wider kinds are reported without one."""
    return row.quantisation == Quantisation.EXPERTS and getattr(row, aim) > AIMS[aim]


def show(rows: list[Row], missed: list[str]) -> None:
    """The rows as a table, shares in percent."""
    print(
        f"{'model':12}{'quantisation':14}{'memory':>8}{'experts':>9}{'logits':>9}{'p99':>9}{'ppl':>10}"
    )
    for row in rows:
        print(
            f"{row.model:12}{row.quantisation:14}{row.memory:8.1%}{row.experts_memory:9.1%}"
            f"{row.logits_error:9.2%}{row.logits_error_p99:9.2%}"
            f"{row.perplexity:10.2f} {row.perplexity_change:+.3%}"
        )
    print(f"missed: {', '.join(missed)}" if missed else "every aim for experts-int8 is met")


if __name__ == "__main__":
    main()
