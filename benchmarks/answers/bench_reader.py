"""How well the reader reads, on articles it never saw.

    python -m benchmarks.answers.bench_reader ../shared/data --cache CACHE [--reader DIR]
        [--out FILE]

Gold passages of SQuAD's reporting articles and PolicyQA's reporting half; a seeded draw of the same
SQuAD questions with the four best of all 2,430 passages; telling right passages from wrong ones of
the same article; a baseline that answers with the sentence most like the question; and the time
that four passages take. CACHE holds the index of `bench_retrieval.py`, made if missing.
"""

import argparse
import json
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from app.answering.answer import find_passages
from app.answering.quote import Quote, Weights, best_quotes
from app.answering.reader import BUNDLED, open_reader
from benchmarks.retrieval.bench_retrieval import CachedEncoder, make_index
from retrieval.encoders.encoder import Encoder, load_encoder
from retrieval.evaluation.evaluate import read_task
from retrieval.evaluation.squad import Question, exact_match, f1_score, read_squad
from retrieval.index import Index
from retrieval.reading.reader import Reader
from retrieval.reading.reader_data import wrong_passages
from retrieval.reading.reader_eval import ReadingScores, auroc, best_odds, read_gold
from retrieval.sentences import sentence_spans

SQUAD, POLICYQA = Path("qa/squad_v1.1_subset.json"), Path("qa/policyqa_dev.json")
K = 4


def of_titles(data: Path, file: Path, of: str, part: str = "reporting") -> list[Question]:
    """The questions of a file's titles that `splits.json` has in this part."""
    splits = json.loads((Path(__file__).parents[1] / "splits.json").read_text("utf-8"))
    titles = set(splits[of][part])
    return [question for question in read_squad(data / file) if question.title in titles]


def gold(reader: Reader, asked: Sequence[Question]) -> dict[str, float | None]:
    """Scores with gold passages; AUROC against wrong passages of the same article."""
    scores, right = read_gold(reader, asked)
    wrong = best_odds(reader, wrong_passages(asked, asked, random.Random(0)))
    return replace(scores, auroc=auroc(right, wrong)).to_dict()


def sentence_baseline(encoder: Encoder, asked: Sequence[Question]) -> dict[str, float | None]:
    """The gold passage's sentence with the highest cosine, as the answer."""
    exact, overlap = [], []
    for question in asked:
        words = most_similar(encoder, question.text, [question.context])
        golds = [answer.text for answer in question.answers]
        exact.append(exact_match(words, golds))
        overlap.append(f1_score(words, golds))
    mean = ReadingScores(len(asked), 100 * statistics.mean(exact), 100 * statistics.mean(overlap))
    return mean.to_dict()


def most_similar(encoder: Encoder, question: str, passages: Sequence[str]) -> str:
    """The sentence of some passages with the highest cosine."""
    texts = [text[start:end] for text in passages for start, end in sentence_spans(text)]
    vectors = encoder.encode_passages([("", text) for text in texts])  # (sentences, d)
    return texts[int(np.argmax(vectors @ encoder.encode_queries([question])[0]))]


def retrieved(
    reader: Reader, index: Index, encoder: Encoder, asked: Sequence[Question]
) -> dict[str, Any]:
    """Scores of the words that quote mode points at, with the K best of all passages.

    Every question is answered, however unsure. `median_seconds` is for choosing the words.
    """
    sure = replace(Weights(), threshold=float("-inf"))
    exact, overlap, found, seconds = [], [], [], []
    for question in asked:
        passages = find_passages(index, question.text, K)
        started = time.perf_counter()
        quotes = best_quotes(question.text, passages, encoder, reader, sure)
        seconds.append(time.perf_counter() - started)
        words = pointed_at(quotes, [passage.text for passage in passages])
        golds = [answer.text for answer in question.answers]
        exact.append(exact_match(words, golds))
        overlap.append(f1_score(words, golds))
        found.append(any(passage.text == question.context for passage in passages))
    mean = ReadingScores(len(asked), 100 * statistics.mean(exact), 100 * statistics.mean(overlap))
    return {
        **mean.to_dict(),
        "passage_found": round(100 * statistics.mean(found), 1),
        "median_seconds": round(statistics.median(seconds), 3),
    }


def pointed_at(quotes: Sequence[Quote], texts: Sequence[str]) -> str:
    """The very words of the best quote."""
    if not quotes or quotes[0].focus is None:
        return ""
    return texts[quotes[0].passage][slice(*quotes[0].focus)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--reader", type=Path, default=BUNDLED)
    parser.add_argument("--drawn", type=int, default=1000, help="questions that are searched for")
    parser.add_argument("--out", type=Path, help="also write the figures to this JSON file")
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    reader = open_reader(options.reader)
    squad = of_titles(options.data, SQUAD, "squad")
    drawn = random.Random(7).sample(squad, min(options.drawn, len(squad)))
    task = read_task(options.data / SQUAD)
    encoder = CachedEncoder(
        load_encoder(), options.cache / "questions.npy", list(task.queries.values())
    )
    make_index(task, options.cache / "plain", encoder, titles=False)
    index = Index.open(options.cache / "plain", encoder)
    rows = {
        "SQuAD, right passage given": gold(reader, squad),
        "PolicyQA, right passage given": gold(
            reader, of_titles(options.data, POLICYQA, "policyqa")
        ),
        f"SQuAD, best {K} of all 2,430 passages": retrieved(reader, index, encoder, drawn),
        "SQuAD, most similar sentence instead": sentence_baseline(encoder, drawn),
    }
    index.close()
    for name, figures in rows.items():
        print(json.dumps({"set": name, **figures}), flush=True)
    if options.out is not None:
        options.out.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
