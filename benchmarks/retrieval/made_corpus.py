"""A corpus of any size out of real sentences: each passage is a few of them, drawn at random."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

from retrieval.evaluation.squad import read_squad
from retrieval.sentences import sentence_spans

WORDS = 100  # of a passage, at least
TEXTS = (
    "federalist.txt",
    "holmes.txt",
    "war_and_peace_full.txt",
    "wikitext2.valid.txt",
    "wikitext2.test.txt",
)


def sentences_of(data: Path) -> list[str]:
    """The sentences of the long texts and of SQuAD's paragraphs, white space as single spaces."""
    texts = [(data / "text" / name).read_text("utf-8", "replace") for name in TEXTS]
    texts += dict.fromkeys(q.context for q in read_squad(data / "qa" / "squad_v1.1_subset.json"))
    return [
        sentence
        for text in texts
        for start, end in sentence_spans(text)
        if len((sentence := " ".join(text[start:end].split())).split()) > 3
    ]


def questions_of(data: Path, count: int) -> list[str]:
    """Questions of people, drawn from SQuAD's subset."""
    texts = [question.text for question in read_squad(data / "qa" / "squad_v1.1_subset.json")]
    return Random(1).sample(texts, min(count, len(texts)))


def made_passages(sentences: Sequence[str], count: int) -> Iterator[str]:
    """`count` texts of about WORDS words; the first ones are the same for every count."""
    random = Random(0)
    for _ in range(count):
        text = random.choice(sentences)
        while text.count(" ") < WORDS:
            text = f"{text} {random.choice(sentences)}"
        yield text


def write_corpus(sentences: Sequence[str], count: int, path: Path) -> None:
    """A BEIR corpus.jsonl of made passages."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        for n, text in enumerate(made_passages(sentences, count)):
            file.write(json.dumps({"_id": f"d{n}", "title": "", "text": text}) + "\n")
