"""What a model folder makes of questions with their gold passage, on articles it never saw.

    python -m benchmarks.answers.bench_checkpoint app/checkpoints/small-jamba ../shared/data
        [--json]

Greedy answers to questions of the reporting articles of benchmarks/splits.json: exact match and F1,
how many end by themselves, how many of their words stand in the passage, and how fast they come.
"""

import argparse
import json
import random
import statistics
from dataclasses import dataclass
from pathlib import Path

import jamba
from app.answering.prompt import SYSTEM
from jamba.engine import Engine
from jamba.sequence import FinishReason
from jamba.tokens.chat import ChatTokenizer, load_tokenizer
from retrieval.evaluation.squad import Question, exact_match, f1_score, normalise_answer, read_squad

SPLITS = Path(__file__).parents[1] / "splits.json"
LONGEST = 48  # tokens of an answer


@dataclass(frozen=True, slots=True)
class Reading:
    """One answer and what it took."""

    question: Question
    answer: str
    stopped: bool
    seconds: float
    tokens: int


def sample(data: Path, count: int) -> list[Question]:
    """Questions of the reporting articles, drawn by a fixed seed."""
    reporting = set(json.loads(SPLITS.read_text(encoding="utf-8"))["squad"]["reporting"])
    questions = read_squad(data / "qa" / "squad_v1.1_subset.json")
    known = [q for q in questions if q.title in reporting and q.answers]
    return random.Random(0).sample(known, min(count, len(known)))


def read(engine: Engine, tokenizer: ChatTokenizer, question: Question) -> Reading:
    """The greedy answer to one question behind its own passage."""
    prompt = tokenizer.encode_chat(
        [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question.text}],
        [{"title": question.title.replace("_", " "), "text": question.context}],
    )
    params = jamba.SamplingParams(max_tokens=LONGEST, temperature=0.0)
    request = engine.submit(prompt.ids, params)
    answer = tokenizer.decode(list(engine.stream(request))).strip()
    return Reading(
        question,
        answer,
        request.finish_reason == FinishReason.STOP,
        request.metrics.decode_s,
        request.metrics.generated_tokens,
    )


def summarise(readings: list[Reading]) -> dict[str, float]:
    """Percentages over the questions, and generated tokens a second."""
    golds = [[answer.text for answer in r.question.answers] for r in readings]
    pairs = list(zip(readings, golds, strict=True))
    seconds = sum(reading.seconds for reading in readings)
    return {
        "questions": len(readings),
        "em": 100 * statistics.mean(exact_match(r.answer, gold) for r, gold in pairs),
        "f1": 100 * statistics.mean(f1_score(r.answer, gold) for r, gold in pairs),
        "stopped": 100 * statistics.mean(r.stopped for r in readings),
        "words_in_passage": 100 * statistics.mean(copied(r) for r in readings),
        "tokens_per_second": sum(r.tokens for r in readings) / seconds if seconds else 0.0,
    }


def copied(reading: Reading) -> float:
    """The share of the answer's words that the passage has; 0 where there are none."""
    passage = set(normalise_answer(reading.question.context).split())
    words = normalise_answer(reading.answer).split()
    return sum(word in passage for word in words) / len(words) if words else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--json", action="store_true", help="print only the figures, as JSON")
    arguments = parser.parse_args()
    tokenizer = load_tokenizer(arguments.model)
    engine = Engine(jamba.load_model(arguments.model))
    try:
        asked = sample(arguments.data, arguments.questions)
        readings = [read(engine, tokenizer, question) for question in asked]
    finally:
        engine.close()
    for reading in [] if arguments.json else readings[:20]:
        print(json.dumps({"question": reading.question.text, "answer": reading.answer}))
    print(json.dumps({name: round(value, 1) for name, value in summarise(readings).items()}))


if __name__ == "__main__":
    main()
