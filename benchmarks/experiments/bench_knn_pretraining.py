"""kNN-Pretraining on a small scale: the same model, the same tokens, three kinds of examples.

    python -m benchmarks.experiments.bench_knn_pretraining ../shared/data [--steps 350]
        [--seeds 0,1]
                                               [--out benchmarks/results/knn_pretraining.json]

A small Jamba is trained from scratch on WikiText-2's validation part and the Federalist papers,
mixed with questions on SQuAD's tuning articles. Only what the rows of plain text hold differs:
chunks beside their nearest neighbours, beside random ones, or contiguous text. Then each model
reads what it never saw: WikiText-2's test part as it stands; chunks of it alone, behind their
nearest neighbour in the training text and behind a random chunk; and questions on SQuAD's reporting
articles, with the gold passage and without. The defaults are sized for about twelve minutes on two
quiet cores for each seed.
"""

import argparse
import json
import math
import random
import statistics
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import jamba
from app.answering.prompt import SYSTEM
from app.experiments.models.jamba_scorer import JambaScorer
from app.experiments.models.scorer import Row
from app.training.example_plan import ExamplePlan, Kind
from app.training.lm_data import read_text, sections
from app.training.lm_examples import cut_chunks, unit_vectors
from app.training.lm_recipe import QuestionFile, Recipe, read_sources
from app.training.lm_report import Measured
from app.training.lm_training import run, use_threads
from benchmarks.answers.bench_checkpoint import SPLITS, read, sample, summarise
from jamba.engine import Engine
from jamba.tokens.bpe import BOS, END_OF_TURN, EOS
from jamba.tokens.chat import ChatTokenizer, load_tokenizer
from retrieval.evaluation.squad import Question

TEXTS = ("text/wikitext2.valid.txt", "text/federalist.txt")
UNSEEN = "text/wikitext2.test.txt"
QUESTIONS = QuestionFile("qa/squad_v1.1_subset.json", "squad")
WINDOW = 511  # tokens of contiguous text that are read at once
SHORTEST = 300  # characters of a chunk that is scored


@dataclass(frozen=True, slots=True)
class Unseen:
    """A chunk of unseen text, its nearest neighbour in the training text, and any other chunk."""

    text: str
    neighbour: str
    stranger: str


def main() -> None:
    """Train and judge every kind with every seed; print a table and write both with --out."""
    options = parsed()
    use_threads(options.threads)
    base = recipe(options)
    sources = read_sources(base, options.data, SPLITS, Path())
    body = read_text(options.data / UNSEEN)
    unseen = neighbours(body, dict(zip(TEXTS, sources.texts, strict=True)), options.chunks)
    asked = sample(options.data, options.questions)
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        for seed in options.seeds:
            for kind in Kind:
                folder = (options.work or Path(scratch)) / f"{kind}-{seed}"
                measured = run(
                    with_kind(base, kind, seed),
                    sources,
                    folder,
                    resume=False,
                    say=lambda line: print(line, flush=True),
                    report=lambda point, done: None,
                )
                figures = judge(folder, body, options.text_tokens, unseen, asked)
                found.append(line(kind, seed, measured) | figures)
                print(json.dumps(found[-1]), flush=True)
    table = "\n".join(rows(found))
    print(table)
    if options.out is not None:
        settings = {"recipe": base.to_dict(), "seeds": options.seeds}
        written = json.dumps({"settings": settings, "runs": found}, indent=1) + "\n"
        options.out.write_text(written, "utf-8")
        options.out.with_suffix(".md").write_text(f"{page(options)}\n{table}\n", "utf-8")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--steps", type=int, default=350, help="updates, of one row each")
    parser.add_argument("--row-tokens", type=int, default=512)
    parser.add_argument("--hidden", type=int, default=128, help="width of the model")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--vocabulary", type=int, default=2048)
    parser.add_argument("--share", type=float, default=0.5, help="of the text that is put together")
    parser.add_argument("--seeds", type=lambda text: [int(n) for n in text.split(",")], default=[0])
    parser.add_argument("--text-tokens", type=int, default=8000, help="of contiguous unseen text")
    parser.add_argument("--chunks", type=int, default=100, help="of unseen text")
    parser.add_argument("--questions", type=int, default=60)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--work", type=Path, help="keep the models in this folder")
    parser.add_argument("--out", type=Path, help="write JSON here, and a table beside it")
    return parser.parse_args()


def recipe(options: argparse.Namespace) -> Recipe:
    """What all kinds have in common."""
    return Recipe(
        texts=TEXTS,
        questions=(QUESTIONS,),
        vocabulary=options.vocabulary,
        model={
            "hidden_size": options.hidden,
            "intermediate_size": 2 * options.hidden,
            "num_hidden_layers": options.layers,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "attn_layer_period": 2,
            "attn_layer_offset": 1,
            "num_experts": 1,
            "num_experts_per_tok": 1,
            "tie_word_embeddings": True,
            "max_position_embeddings": 4096,
        },
        training={
            "rows": 1,
            "row_tokens": options.row_tokens,
            "steps": options.steps,
            "save_every": options.steps,
            "learning_rate": 3e-3,
        },
        text_share=0.7,
        curriculum={"human": 3, "quotes": 1},
        examples=asdict(ExamplePlan(share=options.share)),
    )


def with_kind(base: Recipe, kind: Kind, seed: int) -> Recipe:
    return replace(
        base,
        examples={**(base.examples or {}), "kind": kind.value},
        training={**base.training, "seed": seed},
    )


def neighbours(body: str, texts: dict[str, str], count: int) -> list[Unseen]:
    """Chunks of an unseen text, drawn by a fixed seed, each with two of the training texts."""
    plan = ExamplePlan()
    chunks = {
        name: [
            chunk.text
            for chunk in cut_chunks(each, sections(each.values()), plan.chunk_words)
            if len(chunk.text) >= SHORTEST
        ]
        for name, each in (("unseen", {UNSEEN: body}), ("known", texts))
    }
    rng = random.Random(0)
    drawn = rng.sample(chunks["unseen"], min(count, len(chunks["unseen"])))
    alike = unit_vectors(drawn) @ unit_vectors(chunks["known"]).T  # (drawn, known)
    nearest = np.where(alike > plan.ceiling, -1.0, alike).argmax(axis=1)
    return [
        Unseen(text, chunks["known"][near], rng.choice(chunks["known"]))
        for text, near in zip(drawn, nearest, strict=True)
    ]


def judge(
    folder: Path, body: str, tokens: int, unseen: Sequence[Unseen], asked: Sequence[Question]
) -> dict[str, float]:
    """What one model makes of what it never saw: perplexities a token, and answers in percent."""
    scorer, tokenizer = JambaScorer(folder, folder.name), load_tokenizer(folder)
    engine = Engine(jamba.load_model(folder))
    try:
        answers = summarise([read(engine, tokenizer, question) for question in asked])
    finally:
        engine.close()
    return {
        "contiguous": perplexity(scorer, windows(tokenizer, body, tokens)),
        "alone": perplexity(scorer, (behind(tokenizer, None, u.text) for u in unseen)),
        "behind_neighbour": perplexity(
            scorer, (behind(tokenizer, u.neighbour, u.text) for u in unseen)
        ),
        "behind_stranger": perplexity(
            scorer, (behind(tokenizer, u.stranger, u.text) for u in unseen)
        ),
        "answer_closed_book": perplexity(scorer, (answered(tokenizer, q, False) for q in asked)),
        "answer_with_passage": perplexity(scorer, (answered(tokenizer, q, True) for q in asked)),
        "em": answers["em"],
        "f1": answers["f1"],
    }


def perplexity(scorer: JambaScorer, rows: Iterable[Row]) -> float:
    """Of all wanted tokens of the rows together."""
    return math.exp(float(np.concatenate(scorer.losses(list(rows))).mean()))


def windows(tokenizer: ChatTokenizer, body: str, tokens: int) -> Iterable[Row]:
    """The first tokens of a text, WINDOW at a time behind the start token."""
    ids = tokenizer.encode(body[: 12 * tokens])[:tokens]
    for first in range(0, len(ids), WINDOW):
        yield scored(tokenizer.encode_special(BOS), ids[first : first + WINDOW])


def behind(tokenizer: ChatTokenizer, before: str | None, text: str) -> Row:
    """A chunk, laid out behind another as in training, or first."""
    start = tokenizer.encode_special(BOS)
    if before is not None:
        start += tokenizer.encode(before) + tokenizer.encode_special(EOS)
    return scored(start, tokenizer.encode(text))


def answered(tokenizer: ChatTokenizer, question: Question, with_passage: bool) -> Row:
    """A question's first gold answer, where the assistant would write it."""
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question.text}]
    passage = {"title": question.title.replace("_", " "), "text": question.context}
    prompt = tokenizer.encode_chat(messages, [passage] if with_passage else None)
    words = tokenizer.encode(f" {question.answers[0].text}")
    return scored(list(prompt.ids), [*words, *tokenizer.encode_special(END_OF_TURN)])


def scored(before: list[int], wanted: list[int]) -> Row:
    ids = np.array([*before, *wanted], np.int64)
    return Row(ids, np.arange(len(before), len(ids), dtype=np.int64))


def line(kind: Kind, seed: int, measured: Measured) -> dict[str, Any]:
    """Which run it was and what it cost."""
    return {
        "kind": kind.value,
        "seed": seed,
        "parameters": measured.parameters,
        "tokens": measured.tokens,
        "minutes": round(measured.minutes, 2),
        "training_loss": measured.loss,
    }


COLUMNS = {
    "contiguous": "contiguous text",
    "alone": "chunk alone",
    "behind_neighbour": "behind a neighbour",
    "behind_stranger": "behind a stranger",
    "answer_closed_book": "answer, closed book",
    "answer_with_passage": "answer, with passage",
    "em": "EM",
    "f1": "F1",
}


def rows(found: Sequence[dict[str, Any]]) -> list[str]:
    """A Markdown table: means over seeds, and their range where there are several."""
    lines = [" | ".join(("| examples", *COLUMNS.values())) + " |", "|---" * 9 + "|"]
    for kind in Kind:
        runs = [each for each in found if each["kind"] == kind.value]
        cells = (cell([each[name] for each in runs]) for name in COLUMNS)
        lines.append(" | ".join((f"| {kind.value}", *cells)) + " |")
    return lines


def cell(values: Sequence[float]) -> str:
    mean = f"{statistics.mean(values):.2f}"
    return mean if len(values) < 2 else f"{mean} ({min(values):.2f} to {max(values):.2f})"


def page(options: argparse.Namespace) -> str:
    """The words above the table."""
    return (
        "# Training examples of neighbours\n\n"
        f"`python -m benchmarks.experiments.bench_knn_pretraining` with {options.steps} steps of "
        f"{options.row_tokens} tokens, width {options.hidden}, {options.layers} layers, seeds "
        f"{', '.join(map(str, options.seeds))}. Perplexities a token, lower is better; EM and F1 "
        f"in percent of {options.questions} questions. Means over seeds and their range.\n"
    )


if __name__ == "__main__":
    main()
