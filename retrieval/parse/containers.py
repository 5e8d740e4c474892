"""Guards for what arrives packed or as XML: sizes before unpacking, no entities, no network."""

import struct
import zipfile
from pathlib import Path
from typing import Any

from retrieval.parse.limits import Limits
from retrieval.types import ParseFailure

_RATIO = 300  # unpacked to packed bytes; text reaches about 20, repetitive sheets about 100
_RATIO_FROM = 20 * 2**20  # unpacked bytes below which the ratio does not matter
_MEMBERS = 20_000
_ENCRYPTED = 0x1  # bit of a member's flags


def check_zip(path: Path, limits: Limits) -> None:
    """Raise ParseFailure if the ZIP container at `path` is locked or unpacks to too much.

    The sizes are those its directory states; `zipfile` reads no more than these.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError, struct.error):
        raise ParseFailure("damaged file: its ZIP container cannot be read") from None
    if any(member.flag_bits & _ENCRYPTED for member in members):
        raise ParseFailure("password-protected")
    unpacked = sum(member.file_size for member in members)
    packed = sum(member.compress_size for member in members)
    too_much = unpacked > limits.unpacked_bytes or len(members) > _MEMBERS
    if too_much or (unpacked > _RATIO_FROM and unpacked > _RATIO * packed):
        raise ParseFailure(f"unpacks to too much: {unpacked / 2**20:,.0f} MB from a small file")


def parse_xml(data: bytes) -> Any:
    """The lxml root element of `data`; entities stay unexpanded. Raises ParseFailure."""
    from lxml import etree

    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, recover=True,
        remove_comments=True, remove_pis=True,
    )  # fmt: skip
    root = etree.fromstring(data, parser)
    if root is None:
        raise ParseFailure("damaged file: its XML cannot be read")
    return root


def local(element: Any) -> str:
    """The tag of an lxml element without its namespace; "" for what is not an element."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def attribute(element: Any, name: str) -> str | None:
    """The value of the attribute `name`, whatever its namespace."""
    for key, value in element.attrib.items():
        if key.rpartition("}")[2] == name:
            return str(value)
    return None
