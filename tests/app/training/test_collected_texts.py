"""Prose out of packages: downloaded by pip from a folder made here, never installed."""

import bz2
import io
import tarfile
import zipfile

import pytest

from app.training.collected_texts import PACKAGES, collect, django_paragraphs, prose
from app.training.lm_data import read_text
from app.types import OrbweaverError

SENTENCE = "The old lighthouse at the end of the harbour was built of grey stone in one summer"
LONG = f"{SENTENCE}, and it has guided every ship that came into the bay since that time."
PAGES = f"""<mediawiki>
<page><title>Light</title><text xml:space="preserve">'''{LONG}'''&lt;ref&gt;A book.&lt;/ref&gt;

{{{{Infobox | a = {LONG} }}}}

== History ==
[[File:x.png|thumb|short]] Too short.

{LONG} It is [[tall|very tall]] too.</text></page>
<page><title>Old</title><text>#REDIRECT [[Light]]</text></page>
</mediawiki>"""
MANUAL = f"""Title
=====

{LONG} See :ref:`the guide <guide-x>` and :class:`~a.Lamp` or ``lamp()``.

    {LONG}

.. note:: {LONG}
"""
GENSIM = next(package for package in PACKAGES if package.name == "gensim")


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that pip takes for its only index, with one small wheel."""
    folder = tmp_path / "index"
    folder.mkdir()
    info = "gensim-4.4.0.dist-info"
    with zipfile.ZipFile(folder / "gensim-4.4.0-py3-none-any.whl", "w") as wheel:
        member = "gensim/test/test_data/enwiki-latest-pages-articles1.xml-x.bz2"
        wheel.writestr(member, bz2.compress(PAGES.encode()))
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: gensim\nVersion: 4.4.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_articles_come_without_markup_references_and_scraps(index, tmp_path):
    path = collect(GENSIM, tmp_path / "texts")
    assert read_text(path).split("\n") == ["= Light =", LONG, f"{LONG} It is very tall too."]


def test_a_text_is_collected_once(index, tmp_path):
    first = collect(GENSIM, tmp_path / "texts")
    (index / "gensim-4.4.0-py3-none-any.whl").unlink()
    assert collect(GENSIM, tmp_path / "texts") == first


def test_a_package_that_cannot_be_had_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(OrbweaverError, match=r"gensim==4\.4\.0"):
        collect(GENSIM, tmp_path / "texts")
    assert not any((tmp_path / "texts").iterdir())


def test_of_a_manual_only_paragraphs_are_taken_and_roles_become_words(tmp_path):
    path = tmp_path / "django.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo("django-1/docs/intro.txt")
        member.size = len(MANUAL)
        archive.addfile(member, io.BytesIO(MANUAL.encode()))
    assert list(django_paragraphs(path)) == [f"{LONG} See the guide and a.Lamp or lamp()."]


def test_headings_lists_and_tables_are_no_prose():
    assert list(prose(["Short.", LONG, f"| {LONG}", LONG[:-1]])) == [LONG]
