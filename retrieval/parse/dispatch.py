"""One file -> its text, by the reader for its kind."""

import re
from importlib import import_module
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from retrieval.parse.blocks import Document, clean, one_line, render
from retrieval.parse.containers import check_zip
from retrieval.parse.decode import decode
from retrieval.parse.kinds import Kind, detect
from retrieval.parse.limits import DEFAULT_LIMITS, Limits
from retrieval.types import Extracted, ParseFailure

if TYPE_CHECKING:
    from retrieval.parse.pdf import ScanReader

# What programs call a document whose author gave it no title.
_EMPTY_TITLE = re.compile(
    r"(?i)(?:(?:microsoft )?(?:word|powerpoint|excel)?[ -]*(?:document|presentation|slide)?\s*\d*"
    r"|untitled.*|(?:no |page )?title|model|\(?(?:anonymous|unspecified|unknown)\)?"
    r"|.*\.(?:docx?|pptx?|xlsx?|pdf|indd|qxd|tmp|rtf|dvi))"
)
_TITLE_CHARACTERS = 300
_ZIPPED = frozenset({Kind.DOCX, Kind.PPTX, Kind.XLSX, Kind.ODT, Kind.ODS, Kind.ODP, Kind.EPUB})


# Where the reader of each kind is; it is imported when needed, so that a child starts light.
_READERS = {
    Kind.DOCX: ("word", "read_docx"),
    Kind.PPTX: ("slides", "read_pptx"),
    Kind.XLSX: ("sheets", "read_xlsx"),
    Kind.XLS: ("sheets", "read_xls"),
    Kind.ODT: ("opendocument", "read_opendocument"),
    Kind.ODS: ("opendocument", "read_opendocument"),
    Kind.ODP: ("opendocument", "read_opendocument"),
    Kind.EPUB: ("epub", "read_epub"),
    Kind.HTML: ("web", "read_html"),
    Kind.EMAIL: ("mail", "read_eml"),
    Kind.OUTLOOK: ("outlook", "read_msg"),
    Kind.RTF: ("rtf", "read_rtf"),
    Kind.JSON: ("data", "read_json"),
    Kind.XML: ("data", "read_xml"),
    Kind.DELIMITED: ("delimited", "read_delimited"),
    Kind.MARKDOWN: ("markdown", "read_markdown"),
}


def extract(
    path: Path,
    name: str,
    limits: Limits = DEFAULT_LIMITS,
    read_scan: "ScanReader | None" = None,
) -> Extracted:
    """The text of the file at `path`, which its owner calls `name`; `read_scan` is OCR, if wanted.

    Raises ParseFailure with a reason in plain words. Runs in this process: use `ParserPool` for
    files of unknown origin.
    """
    kind = _detect(path, name, limits)
    try:
        extracted = _read(kind, path, limits, read_scan)
    except (ParseFailure, MemoryError):
        raise
    except RecursionError:
        raise ParseFailure("nested too deeply") from None
    except Exception as error:  # a library may fail in any way on a damaged file
        raise ParseFailure(f"damaged {kind.name} file: {_short(error)}") from error
    if not extracted.text.strip():
        raise ParseFailure("no text found")
    title = one_line(extracted.title)[:_TITLE_CHARACTERS]
    if _EMPTY_TITLE.fullmatch(title):
        title = PurePath(name).stem.replace("_", " ")
    return Extracted(title, extracted.text, extracted.page_starts, kind.value)


def _detect(path: Path, name: str, limits: Limits) -> Kind:
    try:
        if path.stat().st_size > limits.file_bytes:
            raise ParseFailure(f"larger than {limits.file_bytes / 2**20:g} MB")
        return detect(path, name)
    except OSError as error:
        raise ParseFailure(f"cannot be opened: {(error.strerror or str(error)).lower()}") from None


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__} {text[:100]}".strip()


def _read(kind: Kind, path: Path, limits: Limits, read_scan: "ScanReader | None") -> Extracted:
    if kind is Kind.PDF:
        from retrieval.parse.pdf import extract_pdf

        return extract_pdf(path, limits.characters, read_scan)
    if kind is Kind.TEXT:
        text = clean(decode(path.read_bytes()))
        if len(text) > limits.characters:
            raise ParseFailure(f"more than {limits.characters:,} characters of text")
        return Extracted("", text, (), kind.value)
    if kind in _ZIPPED:
        check_zip(path, limits)
    module, function = _READERS[kind]
    read = getattr(import_module(f"retrieval.parse.{module}"), function)
    document: Document = read(path)
    text, starts = render(document.blocks, limits.characters)
    return Extracted(document.title, text, starts, kind.value)
