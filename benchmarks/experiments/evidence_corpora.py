"""What the evidence is about: texts with the others as their corpus, and questions; made once."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

from retrieval.encoders.encoder import Encoder
from retrieval.ingest.build import build_index

SPLITS = Path(__file__).parents[1] / "splits.json"
PAPER = re.compile(r"^FEDERALIST\.? No\. \d+$", re.MULTILINE)
ARTICLE = re.compile(r"^ = [^=].*[^=] = $", re.MULTILINE)
END = "*** END OF"


def federalist_papers(data: Path) -> dict[str, str]:
    """The 85 papers by their numbers; each is evaluated with the 84 others as corpus."""
    text = (data / "text" / "federalist.txt").read_text("utf-8").partition(END)[0]
    return {f"paper-{n:02}": part for n, part in enumerate(cut(text, PAPER), start=1)}


def wikitext_articles(data: Path) -> dict[str, str]:
    """The articles of WikiText-2's valid split, the corpus of its test split."""
    text = (data / "text" / "wikitext2.valid.txt").read_text("utf-8")
    return {f"article-{n:02}": part for n, part in enumerate(cut(text, ARTICLE), start=1)}


def squad(data: Path) -> tuple[dict[str, str], dict[str, object]]:
    """All paragraphs of the SQuAD subset as a corpus, and the questions of reporting articles."""
    content = json.loads((data / "qa" / "squad_v1.1_subset.json").read_text("utf-8"))
    reporting = set(json.loads(SPLITS.read_text("utf-8"))["squad"]["reporting"])
    paragraphs = {
        f"{article['title']}-{n:03}": paragraph["context"]
        for article in content["data"]
        for n, paragraph in enumerate(article["paragraphs"])
    }
    asked = [article for article in content["data"] if article["title"] in reporting]
    return paragraphs, {**content, "data": asked}


def cut(text: str, heading: re.Pattern[str]) -> list[str]:
    """The parts of a text, each from its heading to the next; what stands before is left out."""
    starts = [found.start() for found in heading.finditer(text)]
    return [text[a:b] for a, b in zip(starts, [*starts[1:], len(text)], strict=True)]


def write_texts(folder: Path, texts: Mapping[str, str]) -> Path:
    """Each text as a file of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name.replace('/', '-')}.txt").write_text(text, "utf-8")
    return folder


def indexed(sources: Path, out: Path, encoder: Encoder) -> Path:
    """An index of a folder's files, made if it is not there."""
    if not out.exists():
        build_index([sources], out, encoder=encoder, progress=lambda *done: None)
    return out
