"""A small corpus and what is made of it."""

from pathlib import Path

import pytest

from retrieval.types import Extracted

DATA = Path(__file__).parents[2].parent / "shared" / "data"

TEXTS = {
    "orchard": (
        "The orchard opened in 1931. Its owner, Maria Lind, planted 400 apple trees on the slope. "
        "The first harvest came five years later."
    ),
    "bees": (
        "Bees were brought to the valley in 1950 to pollinate the trees. "
        "A beekeeper kept forty hives beside the river."
    ),
    "press": (
        "The cider press was built of oak by Tomas Berg. It pressed two tonnes of apples a day, "
        "and a mule turned its screw."
    ),
    "flood": "In 1967 the river flooded the valley. The flood took the bridge and eleven hives.",
}


def extracted(text: str, title: str = "") -> Extracted:
    """A plain text as a parser would hand it over."""
    return Extracted(title, text, (), "text/plain")


def holding(folder: Path, word: bytes) -> list[Path]:
    """The files of a folder in whose bytes `word` stands."""
    return [path for path in folder.rglob("*") if path.is_file() and word in path.read_bytes()]


@pytest.fixture(scope="session")
def encoder():
    """The packaged encoder, loaded once."""
    from retrieval.encoders.encoder import load_encoder

    return load_encoder()


@pytest.fixture(scope="session")
def data():
    """The data folder beside the repository; tests that need it skip where it is absent."""
    if not DATA.is_dir():
        pytest.skip("../shared/data is not there")
    return DATA


@pytest.fixture(scope="session")
def small_index(tmp_path_factory, encoder):
    """An index of TEXTS with BM25 and vectors; read only."""
    from retrieval.ingest.writer import IndexWriter

    path = tmp_path_factory.mktemp("small") / "index"
    with IndexWriter(path, encoder) as writer:
        for name, text in TEXTS.items():
            writer.add(name, f"{name}.txt", extracted(text, name))
        writer.commit()
    return path
