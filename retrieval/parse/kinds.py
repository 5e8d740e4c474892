"""What kind of file something is: by what it holds; the name decides only between kinds of text."""

import re
import zipfile
from enum import StrEnum
from pathlib import Path, PurePath

from retrieval.parse.decode import decode
from retrieval.types import ParseFailure

_SAMPLE = 2**16


class Kind(StrEnum):
    """The kinds of file that can be read; the value is the media type."""

    PDF = "application/pdf"
    DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
    XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    ODT = "application/vnd.oasis.opendocument.text"
    ODS = "application/vnd.oasis.opendocument.spreadsheet"
    ODP = "application/vnd.oasis.opendocument.presentation"
    EPUB = "application/epub+zip"
    XLS = "application/vnd.ms-excel"
    OUTLOOK = "application/vnd.ms-outlook"
    EMAIL = "message/rfc822"
    HTML = "text/html"
    RTF = "application/rtf"
    JSON = "application/json"
    XML = "application/xml"
    DELIMITED = "text/csv"
    MARKDOWN = "text/markdown"
    TEXT = "text/plain"


_TEXT_BY_SUFFIX = {
    ".eml": Kind.EMAIL, ".mht": Kind.EMAIL, ".mhtml": Kind.EMAIL,
    ".json": Kind.JSON, ".ndjson": Kind.JSON, ".jsonl": Kind.JSON,
    ".csv": Kind.DELIMITED, ".tsv": Kind.DELIMITED, ".tab": Kind.DELIMITED,
    ".md": Kind.MARKDOWN, ".markdown": Kind.MARKDOWN, ".mdown": Kind.MARKDOWN,
    ".htm": Kind.HTML, ".html": Kind.HTML,
    ".xml": Kind.XML, ".rss": Kind.XML, ".atom": Kind.XML,
}  # fmt: skip

_IN_CONTENT_TYPES = (
    (rb"wordprocessingml.(?:document|template)|ms-word.(?:document|template)", Kind.DOCX),
    (rb"presentationml.(?:presentation|slideshow|template)|ms-powerpoint.[a-z]+.macro", Kind.PPTX),
    (rb"spreadsheetml.(?:sheet|template)|ms-excel.(?:sheet|template).macro", Kind.XLSX),
)
_BY_MIMETYPE = {kind.encode(): kind for kind in (Kind.EPUB, Kind.ODT, Kind.ODS, Kind.ODP)}

_UNSUPPORTED = (
    (rb"\x89PNG", "PNG image"),
    (rb"\xff\xd8\xff", "JPEG image"),
    (rb"GIF8", "GIF image"),
    (rb"BM.{4}\0\0\0\0", "BMP image"),
    (rb"II\*\0|MM\0\*", "TIFF image"),
    (rb"RIFF....WEBP", "WebP image"),
    (rb"RIFF....WAVE|ID3|\xff\xfb|fLaC|OggS", "audio"),
    (rb"....ftyp|\x1aE\xdf\xa3|RIFF....AVI ", "video"),
    (rb"\x1f\x8b", "GZIP archive"),
    (rb"7z\xbc\xaf\x27\x1c", "7z archive"),
    (rb"Rar!\x1a\x07", "RAR archive"),
    (rb"BZh\d|\xfd7zXZ|\x28\xb5\x2f\xfd", "compressed archive"),
    (rb".{257}ustar", "TAR archive"),
    (rb"SQLite format 3\0", "SQLite database"),
    (rb"\x7fELF|MZ|\xca\xfe\xba\xbe|\xcf\xfa\xed\xfe", "program"),
    (rb"%!PS", "PostScript"),
    (rb"wOF[F2]|OTTO|\0\x01\0\0\0", "font"),
)

_HTML = re.compile(
    r"(?:<\?xml[^>]*>\s*)?(?>(?:<!--.*?-->\s*)*)<(?:!doctype\s+html|html|head|body)\b",
    re.IGNORECASE | re.DOTALL,
)
_TAG = re.compile(r"<(?:p|div|span|table|br|h\d|ul|ol|li|a|b|i)\b[^<]*>", re.IGNORECASE)
_MAIL_HEADERS = re.compile(r"(?:[A-Za-z][A-Za-z0-9-]*:[^\n]*\n(?:[ \t][^\n]*\n)*){3,}")
_SENT_MAIL = re.compile(r"^(?:From|Received|Return-Path|MIME-Version):", re.MULTILINE)
_ABOUT_MAIL = re.compile(r"^(?:Message-ID|MIME-Version|Received|Subject):", re.MULTILINE | re.I)


def detect(path: Path, name: str) -> Kind:
    """The kind of the file at `path`, which its owner calls `name`. Raises ParseFailure."""
    with path.open("rb") as file:
        head = file.read(_SAMPLE)
    if not head.strip() and len(head) < _SAMPLE:
        raise ParseFailure("empty file")
    if b"%PDF-" in head[:1024]:
        return Kind.PDF
    if head.startswith(b"PK"):
        return _inside_zip(path)
    if head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        return _inside_ole(path)
    for pattern, unsupported in _UNSUPPORTED:
        if re.match(pattern, head, re.DOTALL):
            raise ParseFailure(f"unsupported type: {unsupported}")
    return _kind_of_text(decode(head), PurePath(name).suffix.lower())


def _inside_zip(path: Path) -> Kind:
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
            types = _first_bytes(archive, "[Content_Types].xml") if names else b""
            mimetype = _first_bytes(archive, "mimetype").strip()
    except Exception:  # zipfile and zlib raise many kinds of error on damaged archives
        raise ParseFailure("damaged file: its ZIP container cannot be read") from None
    for pattern, kind in _IN_CONTENT_TYPES:
        if re.search(pattern, types):
            return kind
    if mimetype in _BY_MIMETYPE:
        return _BY_MIMETYPE[mimetype]
    if "META-INF/container.xml" in names:
        return Kind.EPUB
    raise ParseFailure("unsupported type: ZIP archive")


def _first_bytes(archive: zipfile.ZipFile, member: str) -> bytes:
    if member not in archive.namelist():
        return b""
    with archive.open(member) as file:
        return file.read(_SAMPLE)


def _inside_ole(path: Path) -> Kind:
    import olefile

    try:
        with olefile.OleFileIO(path) as container:
            streams = {entry[0] for entry in container.listdir()}
    except Exception:  # olefile raises many kinds of error on damaged containers
        raise ParseFailure("damaged file: its OLE container cannot be read") from None
    if "EncryptedPackage" in streams:
        raise ParseFailure("password-protected")
    if "__properties_version1.0" in streams:
        return Kind.OUTLOOK
    if streams & {"Workbook", "Book"}:
        return Kind.XLS
    for stream, unsupported in (
        ("WordDocument", "DOC (old Word)"),
        ("PowerPoint Document", "PPT (old PowerPoint)"),
        ("VisioDocument", "VSD (Visio)"),
    ):
        if stream in streams:
            raise ParseFailure(f"unsupported type: {unsupported}")
    raise ParseFailure("unsupported type: OLE container")


def _kind_of_text(head: str, suffix: str) -> Kind:
    start = head.lstrip("\ufeff \t\r\n")
    controls = sum(c < " " and c not in "\t\n\r\f\v\x1b\x1a" for c in head[:4096])
    if controls > 0.02 * len(head[:4096]):
        raise ParseFailure("unsupported type: binary data")
    if start.startswith("{\\rtf"):
        return Kind.RTF
    if _HTML.match(start):
        return Kind.HTML
    if start.startswith("<?xml"):
        return Kind.XML
    if _looks_like_mail(start):
        return Kind.EMAIL
    named = _TEXT_BY_SUFFIX.get(suffix, Kind.TEXT)
    untrue = (named is Kind.HTML and not _TAG.search(head)) or (
        named is Kind.XML and not start.startswith("<")
    )
    return Kind.TEXT if untrue else named


def _looks_like_mail(start: str) -> bool:
    headers = _MAIL_HEADERS.match(start)
    if headers is None:
        return False
    return bool(_SENT_MAIL.search(headers.group()) and _ABOUT_MAIL.search(headers.group()))
