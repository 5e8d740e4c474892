"""Outlook messages (MSG) -> blocks: a message as properties in the streams of an OLE container."""

import datetime as dt
import struct
from collections.abc import Iterator
from pathlib import Path

from retrieval.parse.blocks import Block, Document, Heading, Item, Paragraph
from retrieval.parse.decode import decode
from retrieval.parse.web import html_document
from retrieval.types import ParseFailure

# Names of the streams in a MSG file: property, then type (001F is UTF-16, 001E an 8-bit encoding).
_SUBJECT, _BODY, _HTML = "0037", "1000", "1013"
_SHOWN = (("From", "0C1A"), ("To", "0E04"), ("Cc", "0E03"))
_LONG_NAME, _SHORT_NAME = "3707", "3704"
_FIXED = "__properties_version1.0"
_SENT = 0x00390040  # property and type of the time of sending
_ENCRYPTED = ("smime.p7m", ".pgp", ".pgp-encrypted")


def read_msg(path: Path) -> Document:
    """An Outlook message. Raises ParseFailure if its text is encrypted."""
    import olefile

    with olefile.OleFileIO(path) as container:
        streams = {
            "/".join(entry): container.openstream(entry).read()
            for entry in container.listdir()
            if entry[-1].startswith("__substg1.0_") or entry == [_FIXED]
        }
    folders = sorted({name.split("/")[0] for name in streams if name.startswith("__attach")})
    names = [_file_name(streams, folder) for folder in folders]
    if any(name.endswith(_ENCRYPTED) for name in names):
        raise ParseFailure("encrypted message")
    subject = _property(streams, _SUBJECT)
    return Document(subject, list(_blocks(streams, subject, names)))


def _blocks(streams: dict[str, bytes], subject: str, attached: list[str]) -> Iterator[Block]:
    yield Heading(subject)
    known = [(name, _property(streams, code)) for name, code in _SHOWN]
    known.append(("Date", _sent(streams.get(_FIXED, b""))))
    yield Paragraph("\n".join(f"{name}: {value}" for name, value in known if value))
    body = _property(streams, _BODY)
    if body.strip():
        yield Paragraph(body)
    elif html := streams.get(f"__substg1.0_{_HTML}0102"):
        yield from html_document(html).blocks
    yield from (Item(f"Attachment: {name}") for name in attached if name)


def _file_name(streams: dict[str, bytes], folder: str) -> str:
    return _property(streams, _LONG_NAME, folder) or _property(streams, _SHORT_NAME, folder)


def _sent(fixed: bytes) -> str:
    """When the message was sent, from the properties of fixed size: 16 bytes each after 32."""
    for at in range(32, len(fixed) - 15, 16):
        tag, ticks = struct.unpack("<I4xQ", fixed[at : at + 16])
        if tag == _SENT and ticks:
            when = dt.datetime(1601, 1, 1) + dt.timedelta(microseconds=ticks // 10)
            return f"{when:%Y-%m-%d %H:%M} UTC"
    return ""


def _property(streams: dict[str, bytes], code: str, folder: str = "") -> str:
    start = f"{folder}/" if folder else ""
    wide = streams.get(f"{start}__substg1.0_{code}001F")
    if wide is not None:
        return wide.decode("utf-16-le", errors="replace").rstrip("\0")
    return decode(streams.get(f"{start}__substg1.0_{code}001E", b"")).rstrip("\0")
