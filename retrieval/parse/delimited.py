"""CSV, TSV and their relatives -> blocks."""

import csv
import io
from pathlib import Path

from retrieval.parse.blocks import Document, clean
from retrieval.parse.decode import decode
from retrieval.parse.tables import sheet_rows

_DELIMITERS = ",;\t|"
_SAMPLE_LINES = 50


def read_delimited(path: Path) -> Document:
    """One row a record, with the names of the first record where it looks like a header."""
    text = clean(decode(path.read_bytes()))
    csv.field_size_limit(2**24)
    records = csv.reader(io.StringIO(text), delimiter=_delimiter(text))
    return Document("", sheet_rows(records, has_header=True))


def _delimiter(text: str) -> str:
    """The delimiter that cuts the first lines into equally many fields, the most if several do."""
    lines = [line for line in text.splitlines()[:_SAMPLE_LINES] if line.strip()]

    def fitness(delimiter: str) -> tuple[float, int]:
        counts = [len(fields) for fields in csv.reader(lines, delimiter=delimiter)]
        usual = max(set(counts), key=lambda count: (counts.count(count), count), default=1)
        return (counts.count(usual) / len(counts) if usual > 1 else 0.0, usual)

    return max(_DELIMITERS, key=fitness) if lines else ","
