"""Finding one value among more and more keys (the key-value task of arXiv 2307.03172).

    python -m benchmarks.answers.bench_keys MODEL ../shared/data [--keys 2 5 10 25 75]
        [--questions 50] [--out FILE]

Each record is a list of pairs of random identifiers; the model is shown the first of them with the
asked one among them, and answers greedily. A hit holds the right value; the place of the asked
pair goes round, so that every part of the context is asked for alike.
"""

import argparse
import gzip
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import jamba
from app.answering.prompt import SYSTEM
from jamba.engine import Engine
from jamba.tokens.chat import ChatTokenizer, load_tokenizer

RECORDS = Path("text") / "kv-retrieval-75_keys.jsonl.gz"
LONGEST = 64  # tokens of an answer; an identifier has 36 characters


@dataclass(frozen=True, slots=True)
class Lookup:
    """Pairs of identifiers, and the one whose value is asked for."""

    pairs: tuple[tuple[str, str], ...]
    key: str
    value: str


@dataclass(frozen=True, slots=True)
class Found:
    """How often the value was found among so many keys, in percent."""

    keys: int
    questions: int
    prompt_tokens: int
    found: float


def lookups(records: Iterator[list[list[str]]], keys: int) -> Iterator[Lookup]:
    """Every record cut to `keys` pairs; the n-th asks for its n-th pair, round and round."""
    for number, record in enumerate(records):
        pairs = tuple((key, value) for key, value in record[:keys])
        yield Lookup(pairs, *pairs[number % len(pairs)])


def read_records(data: Path) -> Iterator[list[list[str]]]:
    """The pairs of each record of the file."""
    with gzip.open(data / RECORDS, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)["ordered_kv_records"]


def ask(engine: Engine, tokenizer: ChatTokenizer, lookup: Lookup) -> tuple[bool, int]:
    """Whether the greedy answer holds the value, and how many tokens the prompt had."""
    text = json.dumps(dict(lookup.pairs), indent=1)
    prompt = tokenizer.encode_chat(
        [
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": f'What is the value of "{lookup.key}"?'},
        ],
        [{"text": text}],
    )
    request = engine.submit(prompt.ids, jamba.SamplingParams(max_tokens=LONGEST))
    return lookup.value in tokenizer.decode(list(engine.stream(request))), len(prompt.ids)


def measure(engine: Engine, tokenizer: ChatTokenizer, asked: Sequence[Lookup], keys: int) -> Found:
    """The share of `asked` that is found."""
    answers = [ask(engine, tokenizer, lookup) for lookup in asked]
    hits = sum(hit for hit, _ in answers)
    longest = max(length for _, length in answers)
    return Found(keys, len(answers), longest, 100 * hits / len(answers))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--keys", type=int, nargs="+", default=[2, 5, 10, 25, 75])
    parser.add_argument("--questions", type=int, default=50)
    parser.add_argument("--out", type=Path, help="write all lines there, too, as a JSON list")
    arguments = parser.parse_args()
    lines = []
    tokenizer = load_tokenizer(arguments.model)
    engine = Engine(jamba.load_model(arguments.model))
    try:
        for keys in arguments.keys:
            asked = list(islice(lookups(read_records(arguments.data), keys), arguments.questions))
            try:
                lines.append(asdict(measure(engine, tokenizer, asked, keys)))
            except jamba.JambaError as error:  # more keys than the model reads
                print(f"{keys} keys: {error}", file=sys.stderr)
                break
            print(json.dumps(lines[-1]), flush=True)
    finally:
        engine.close()
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(lines, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
