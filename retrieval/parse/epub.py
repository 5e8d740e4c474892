"""EPUB -> blocks: its chapters in reading order."""

import posixpath
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from retrieval.parse.blocks import Block, Document
from retrieval.parse.containers import attribute, local, parse_xml
from retrieval.parse.web import html_document
from retrieval.types import ParseFailure


def read_epub(path: Path) -> Document:
    with zipfile.ZipFile(path) as archive:
        package_path = _package_path(archive)
        package = parse_xml(archive.read(package_path))
    titles = [e.text or "" for e in package.iter() if local(e) == "title"]
    chapters = _chapters(package, posixpath.dirname(package_path))
    return Document(titles[0] if titles else "", _blocks(path, chapters))


def _package_path(archive: zipfile.ZipFile) -> str:
    try:
        container = parse_xml(archive.read("META-INF/container.xml"))
    except KeyError:
        raise ParseFailure("damaged EPUB: it does not say where its contents are") from None
    for element in container.iter():
        if local(element) == "rootfile" and (found := attribute(element, "full-path")):
            return found
    raise ParseFailure("damaged EPUB: it does not say where its contents are")


def _chapters(package: Any, folder: str) -> list[str]:
    """The members that hold the chapters, in reading order, without the table of contents."""
    items = {attribute(e, "id"): e for e in package.iter() if local(e) == "item"}
    order = [attribute(e, "idref") for e in package.iter() if local(e) == "itemref"]
    found = [items[name] for name in order if name in items]
    return [
        posixpath.normpath(posixpath.join(folder, unquote(attribute(item, "href") or "")))
        for item in found
        if "nav" not in (attribute(item, "properties") or "").split()
    ]


def _blocks(path: Path, chapters: list[str]) -> Iterator[Block]:
    with zipfile.ZipFile(path) as archive:
        members = set(archive.namelist())
        for chapter in chapters:
            if chapter in members:
                yield from html_document(archive.read(chapter)).blocks
