"""E-mail -> blocks: who, when, about what, the text, and the names of what is attached."""

import email
import email.policy
from collections.abc import Iterator
from email.message import MIMEPart
from pathlib import Path

from retrieval.parse.blocks import Block, Document, Heading, Item, Paragraph
from retrieval.parse.decode import decode
from retrieval.parse.web import html_document
from retrieval.types import ParseFailure

_HEADERS = ("From", "To", "Cc", "Date")


def read_eml(path: Path) -> Document:
    """The message in a file. Raises ParseFailure if its text is encrypted."""
    data = path.read_bytes()
    if b"\0" in data[:1024]:  # saved as UTF-16
        data = decode(data).encode()
    message = email.message_from_bytes(data.lstrip(), policy=email.policy.default)
    return Document(_header(message, "Subject"), _message(message))


def _message(message: MIMEPart) -> Iterator[Block]:
    yield Heading(_header(message, "Subject"))
    known = [(name, _header(message, name)) for name in _HEADERS]
    yield Paragraph("\n".join(f"{name}: {value}" for name, value in known if value))
    attached: list[str] = []
    yield from _part(message, attached)
    yield from (Item(f"Attachment: {name}") for name in attached)


def _header(message: MIMEPart, name: str) -> str:
    try:
        return str(message.get(name, ""))
    except Exception:  # the standard parser raises many kinds of error on malformed headers
        return next(
            (str(raw) for key, raw in message.raw_items() if key.lower() == name.lower()), ""
        )


def _part(part: MIMEPart, attached: list[str]) -> Iterator[Block]:
    """The text of a message part; the names of files it carries go to `attached`."""
    kind = part.get_content_type()
    if _is_encrypted(part, kind):
        raise ParseFailure("encrypted message")
    if part.is_attachment() or part.get_filename():
        attached.append(part.get_filename() or kind)
    elif kind == "multipart/alternative":
        yield from _part(_preferred(part), attached)
    elif part.is_multipart():
        for inner in part.iter_parts():
            yield from _message(inner) if kind == "message/rfc822" else _part(inner, attached)
    elif kind == "text/html":
        yield from html_document(_content(part)).blocks
    elif kind.startswith("text/"):
        yield Paragraph(_content(part))


def _is_encrypted(part: MIMEPart, kind: str) -> bool:
    if kind in ("application/pkcs7-mime", "application/x-pkcs7-mime"):
        return part.get_param("smime-type") != "signed-data"
    return kind == "multipart/encrypted"


def _preferred(alternatives: MIMEPart) -> MIMEPart:
    """The plain text if it says anything, else the last, which its sender thought best."""
    parts = list(alternatives.iter_parts())
    for part in parts:
        if part.get_content_type() == "text/plain" and _content(part).strip():
            return part
    return parts[-1] if parts else alternatives


def _content(part: MIMEPart) -> str:
    payload = part.get_payload(decode=True)
    if not isinstance(payload, bytes):
        return str(part.get_payload())
    return decode(payload, part.get_content_charset())
