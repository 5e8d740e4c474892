"""What the order of passages costs in answers: how likely the right one is behind each order.

    python -m benchmarks.answers.bench_order MODEL ../shared/data [--questions 200] [--k 4]

A stable order lets more prompts begin alike, so that more of them are restored instead of read
(benchmarks/engine/bench_policy.py counts how many). Here questions of SQuAD's reporting articles
are asked of MODEL behind the k best of all 2,430 passages by BM25, in order of relevance, of id and
of popularity so far; reported is the loss of the first gold answer, in nats a token, and how far it
is from that in order of relevance. Quotes need no such figure: each passage is read by itself.
"""

import argparse
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F

import jamba
from app.answering.prompt import SYSTEM
from app.experiments.significance import compare, in_words
from benchmarks.answers.bench_checkpoint import sample
from benchmarks.engine.bench_policy import ORDERS
from jamba.network.model import Jamba
from jamba.tokens.bpe import END_OF_TURN
from jamba.tokens.chat import ChatTokenizer, load_tokenizer
from retrieval.evaluation.evaluate import ask_all, read_task
from retrieval.evaluation.squad import Question
from retrieval.index import Index
from retrieval.ingest.writer import IndexWriter
from retrieval.search import Search
from retrieval.types import Extracted, Mode

Passages = list[tuple[int, str]]  # number in the collection and text, the best first


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--k", type=int, default=4)
    options = parser.parse_args()
    questions = sample(options.data, options.questions)
    retrieved = best_passages(options.data, questions, options.k)
    model, tokenizer = jamba.load_model(options.model), load_tokenizer(options.model)
    losses = {
        name: [
            loss(model, tokenizer, question, [text for _, text in passages])
            for question, passages in zip(questions, ordered(retrieved, name), strict=True)
        ]
        for name in ORDERS
    }
    for name in ORDERS:
        print(f"{name:12} {sum(losses[name]) / len(questions):.4f} nats a token")
    for name in ("id", "popularity"):
        found = compare("loss", losses["relevance"], losses[name])
        print(in_words(found, "relevance", name))


def best_passages(data: Path, questions: Sequence[Question], k: int) -> list[Passages]:
    """For each question the best passages of the whole collection by BM25."""
    task = read_task(data / "qa" / "squad_v1.1_subset.json")
    numbers = {entry.id: number for number, entry in enumerate(task.entries)}
    with tempfile.TemporaryDirectory() as folder:
        with IndexWriter(Path(folder) / "index", None) as writer:
            for entry in task.entries:
                made = Extracted("", entry.text, (), "text/plain")
                writer.add(entry.id, entry.id, made, whole=True)
            writer.commit()
        index = Index.open(Path(folder) / "index")
        asked = {str(number): question.text for number, question in enumerate(questions)}
        hits = dict(ask_all(index, asked, Search(k, Mode.BM25)))
    return [
        [(numbers[hit.passage_id], task.entries[numbers[hit.passage_id]].text) for hit in each]
        for each in (hits[query] for query in asked)
    ]


def ordered(retrieved: Sequence[Passages], name: str) -> list[Passages]:
    """Each question's passages in another order; popularity counts the questions before it."""
    seen: Counter[int] = Counter()
    found = []
    for passages in retrieved:
        texts = dict(passages)
        found.append([(each, texts[each]) for each in ORDERS[name](list(texts), seen)])
        seen.update(texts.keys())
    return found


def loss(
    model: Jamba, tokenizer: ChatTokenizer, question: Question, passages: Sequence[str]
) -> float:
    """Nats a token of the first gold answer, its end included, behind these passages."""
    prompt = tokenizer.encode_chat(
        [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question.text}],
        [{"text": passage} for passage in passages],
    )
    answer = tokenizer.encode(f" {question.answers[0].text}")
    answer += tokenizer.encode_special(END_OF_TURN)
    ids = torch.tensor([[*prompt.ids, *answer]])
    logits = model.logits(ids)[0, len(prompt.ids) - 1 : -1]  # (answer tokens, V)
    return float(F.cross_entropy(logits, torch.tensor(answer)))


if __name__ == "__main__":
    main()
