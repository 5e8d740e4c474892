"""One file -> its text, by the reader for its kind."""

from pathlib import Path, PurePath

from retrieval.parse.blocks import clean, render
from retrieval.parse.decode import decode
from retrieval.parse.kinds import Kind, detect
from retrieval.parse.limits import DEFAULT_LIMITS, Limits
from retrieval.types import Extracted, ParseFailure


def extract(path: Path, name: str, limits: Limits = DEFAULT_LIMITS) -> Extracted:
    """The text of the file at `path`, which its owner calls `name`.

    Raises ParseFailure with a reason in plain words. Runs in this process: use `ParserPool` for
    files of unknown origin.
    """
    try:
        size = path.stat().st_size
        kind = detect(path, name) if size <= limits.file_bytes else None
    except OSError as error:
        raise ParseFailure(
            f"cannot be opened: {(error.strerror or 'no reason given').lower()}"
        ) from None
    if kind is None:
        raise ParseFailure(f"larger than {limits.file_bytes / 2**20:g} MB")
    extracted = _read(kind, path, limits)
    if not extracted.text.strip():
        raise ParseFailure("no text found")
    title = extracted.title or PurePath(name).stem.replace("_", " ")
    return Extracted(title, extracted.text, extracted.page_starts, kind.value)


def _read(kind: Kind, path: Path, limits: Limits) -> Extracted:
    # Readers are imported here: a child that reads only PDF never loads the office libraries.
    match kind:
        case Kind.PDF:
            from retrieval.parse.pdf import extract_pdf

            return extract_pdf(path, limits.characters)
        case Kind.MARKDOWN:
            from retrieval.parse.markdown import markdown_blocks

            blocks = markdown_blocks(decode(path.read_bytes()))
            text, starts = render(blocks, limits.characters)
            return Extracted("", text, starts, kind.value)
        case Kind.TEXT:
            text = clean(decode(path.read_bytes()))
            if len(text) > limits.characters:
                raise ParseFailure(f"more than {limits.characters:,} characters of text")
            return Extracted("", text, (), kind.value)
        case _:
            raise ParseFailure(f"unsupported type: {kind.name}")
