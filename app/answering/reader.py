"""The reader that answers in quote mode: the bundled one, or one that was trained further."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from retrieval.reading.reader import Reader

BUNDLED = Path(__file__).parents[1] / "checkpoints" / "reader"


@cache
def open_reader(folder: Path = BUNDLED) -> "Reader":
    """The reader in `folder`, on the packaged encoder; opened once. Raises RetrievalError."""
    from retrieval.encoders.encoder import load_encoder
    from retrieval.reading.reader import load_reader

    return load_reader(folder, load_encoder().folder)
