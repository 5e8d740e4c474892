"""How many tokens the bundled Jamba's vocabulary should have: the arithmetic on measured texts.

    python -m benchmarks.training.bench_vocabulary ../shared/data [--sizes 2048 8192 ...] [--json]

Each tokenizer learns from the recipe's texts and is measured on text that none of them saw: the
passages and questions of SQuAD's reporting articles and WikiText-2's test split. A word is what
stands between spaces. The layers' weights are the shipped model's, the embedding is the head too.
"""

import argparse
import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from app.commands.train import RECIPE, SPLITS
from app.training.lm_data import Sources, read_text
from app.training.lm_recipe import read_recipe, read_sources, texts_folder
from app.training.lm_training import model_config, prepare_tokenizer
from benchmarks.answers.bench_reader import SQUAD, of_titles
from jamba.network.model import Jamba
from jamba.training.train import active_parameters

SIZES = (2048, 4096, 6144, 8192, 16384)


@dataclass(frozen=True, slots=True)
class Line:
    """One size of vocabulary."""

    size: int
    tokens_a_word: dict[str, float]  # by text
    embedding_share: float  # of all weights that a token is multiplied with
    mflop_a_word: float  # of the first text, two for each weight, forward alone


def unseen_texts(data: Path) -> dict[str, str]:
    """Texts that no tokenizer learned from, by their names."""
    questions = of_titles(data, SQUAD, "squad")
    passages = dict.fromkeys(question.context for question in questions)
    return {
        "passages": "\n".join(passages),
        "questions": "\n".join(question.text for question in questions),
        "WikiText-2": read_text(data / "text" / "wikitext2.test.txt"),
    }


def layer_weights() -> int:
    """Weights of the shipped model's layers that a token is multiplied with."""
    config = model_config(read_recipe(RECIPE))
    return active_parameters(Jamba(config)) - config.vocab_size * config.hidden_size


def measured(size: int, sources: Sources, texts: dict[str, str], layers: int, width: int) -> Line:
    """A tokenizer of that size, learned and tried."""
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = prepare_tokenizer(sources, size, Path(folder))
    ratios = {name: len(tokenizer.encode(text)) / len(text.split()) for name, text in texts.items()}
    weights = layers + size * width
    first = next(iter(ratios.values()))
    return Line(size, ratios, size * width / weights, 2e-6 * weights * first)


def show(lines: list[Line]) -> None:
    """A table in Markdown."""
    names = list(lines[0].tokens_a_word)
    heads = ["vocabulary", *(f"tokens a word: {name}" for name in names)]
    print("| " + " | ".join([*heads, "embedding's share", "MFLOP a word"]) + " |")
    print("|---" * (len(names) + 3) + "|")
    for line in lines:
        ratios = " | ".join(f"{line.tokens_a_word[name]:.2f}" for name in names)
        share, cost = f"{100 * line.embedding_share:.0f} %", f"{line.mflop_a_word:.1f}"
        print(f"| {line.size:,} | {ratios} | {share} | {cost} |")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    recipe = read_recipe(RECIPE)
    sources = read_sources(recipe, options.data, SPLITS, texts_folder())
    texts, layers = unseen_texts(options.data), layer_weights()
    width = recipe.model["hidden_size"]
    lines = [measured(size, sources, texts, layers, width) for size in options.sizes]
    if options.json:
        print(json.dumps([asdict(line) for line in lines]))
    else:
        show(lines)


if __name__ == "__main__":
    main()
