"""Files made to hurt: each ends as a plain reason, in bounded time and memory."""

import random
import zipfile

import pytest

from retrieval.parse import Limits, ParserPool, extract
from retrieval.passages import split_passages
from retrieval.types import ParseFailure

CONTENT_TYPES = (
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-'
    'officedocument.wordprocessingml.document.main+xml"/></Types>'
)
BOMB = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha">'
    + "".join(
        f'<!ENTITY {after} "{f"&{name};" * 10}">'
        for name, after in zip("abcdefgh", "bcdefghi", strict=True)
    )
    + "]><x>&i;</x>"
)


@pytest.fixture(scope="module")
def pool():
    limits = Limits(seconds=20, memory_bytes=2**30, unpacked_bytes=200 * 2**20)
    with ParserPool(limits=limits) as pool:
        yield pool


def reason(pool, path, name=None):
    with pytest.raises(ParseFailure) as failure:
        pool.parse(path, name or path.name)
    assert "\n" not in failure.value.reason
    assert len(failure.value.reason) < 200
    return failure.value.reason


def test_a_zip_bomb_is_not_unpacked(pool, tmp_path):
    path = tmp_path / "bomb.docx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", CONTENT_TYPES)
        with archive.open("word/document.xml", "w") as member:
            for _ in range(100):
                member.write(b" " * 2**20)
    assert reason(pool, path).startswith("unpacks to too much")


def test_a_zip_with_a_password(pool, tmp_path):
    path = tmp_path / "locked.docx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("[Content_Types].xml", CONTENT_TYPES)
        archive.writestr("word/document.xml", "<x/>")
    data = bytearray(path.read_bytes())
    data[data.rindex(b"PK\x01\x02") + 8] |= 1  # the flag in the last member's directory entry
    path.write_bytes(data)
    assert reason(pool, path) == "password-protected"


def test_entities_are_not_expanded(pool, tmp_path):
    path = tmp_path / "laughs.xml"
    path.write_text(BOMB)
    assert reason(pool, path) == "no text found"


def test_entities_do_not_read_files(pool, tmp_path):
    (tmp_path / "secret").write_text("hush")
    path = tmp_path / "xxe.xml"
    path.write_text(
        f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY s SYSTEM "{(tmp_path / "secret").as_uri()}">]>'
        "<x><a>shown</a><b>&s;</b></x>"
    )
    assert pool.parse(path, "xxe.xml").text == "a: shown."


def test_more_memory_than_allowed(tmp_path):
    path = tmp_path / "big.json"
    path.write_text("[" + ",".join(["[[[]]]"] * 3_000_000) + "]")
    with ParserPool(limits=Limits(memory_bytes=2**28)) as pool:
        assert reason(pool, path) == "needs more than 0.25 GB of memory"
        path.write_text('["small"]')
        assert pool.parse(path, "small.json").text == "small."


@pytest.mark.parametrize(
    "text",
    [
        "<!---->" * 8_000 + "x",
        "Subject: x\r\n" + " folded\r\n" * 8_000 + "x",
        "<a " * 20_000 + "><p>x",
        "a" * 200_000 + "-1",
        ". " * 100_000,
        "\n" * 200_000 + "x",
    ],
)
def test_text_made_to_slow_down_patterns(tmp_path, text):
    path = tmp_path / "slow.html"
    path.write_bytes(text.encode())
    with ParserPool(limits=Limits(seconds=15)) as pool:
        assert split_passages(pool.parse(path, "slow.html").text)


def test_json_nested_too_deeply(pool, tmp_path):
    path = tmp_path / "deep.json"
    path.write_text("[" * 100_000 + "]" * 100_000)
    assert reason(pool, path) == "nested too deeply"


def test_a_crash_of_the_reader_is_the_files_failure(pool, tmp_path, monkeypatch):
    import retrieval.parse.pool as pool_module

    note = tmp_path / "note.txt"
    note.write_text("fine")
    crash = "import ctypes, retrieval.parse.child as c; c._answer = lambda *_: ctypes.string_at(0)"
    monkeypatch.setattr(
        pool_module, "_START", pool_module._START.replace("main(", f"{crash}; main(")
    )
    with ParserPool() as broken:
        assert reason(broken, note) == "damaged file: it crashed the reader"
        monkeypatch.undo()
        assert broken.parse(note, "note.txt").text == "fine"


def test_a_reader_knows_none_of_our_keys(tmp_path, monkeypatch):
    import retrieval.parse.pool as pool_module

    monkeypatch.setenv("OPENAI_API_KEY", "hush")
    tell = "import os, retrieval.parse.child as c;"
    tell += "c._answer = lambda *_: c.Frame({'failure': ' '.join(os.environ)})"
    telling = pool_module._START.replace("main(", f"{tell}; main(")
    monkeypatch.setattr(pool_module, "_START", telling)
    note = tmp_path / "note.txt"
    note.write_text("fine")
    with ParserPool() as pool:
        assert "OPENAI_API_KEY" not in reason(pool, note)


def test_what_a_library_prints_does_not_confuse(tmp_path, monkeypatch):
    import retrieval.parse.pool as pool_module

    noise = "import os, retrieval.parse.child as c; real = c._answer;"
    noise += "c._answer = lambda *a: (os.write(1, b'noise'), os.write(2, b'noise'), real(*a))[2]"
    noisy = pool_module._START.replace("main(", f"{noise}; main(")
    monkeypatch.setattr(pool_module, "_START", noisy)
    note = tmp_path / "note.txt"
    note.write_text("fine")
    with ParserPool() as pool:
        assert pool.parse(note, "note.txt").text == "fine"


@pytest.mark.parametrize("kind", ["docx", "xlsx", "pdf", "html", "eml", "rtf"])
def test_damage_anywhere_ends_as_text_or_a_reason(pool, tmp_path, kind):
    whole = SAMPLES[kind](tmp_path / "whole")
    dice = random.Random(kind)
    items = []
    for i in range(12):
        data = bytearray(whole)
        for _ in range(20):
            data[dice.randrange(len(data))] = dice.randrange(256)
        path = tmp_path / f"{i}.{kind}"
        path.write_bytes(data if i % 3 else data[: dice.randrange(1, len(data))])
        items.append((path, path.name))
    results = [result for _, result in pool.parse_many(items)]
    reasons = [result.reason for result in results if isinstance(result, ParseFailure)]
    assert len(results) == 12
    assert not [reason for reason in reasons if "\n" in reason or "crashed" in reason]


def docx_bytes(path):
    import docx

    document = docx.Document()
    document.add_paragraph("One paragraph of text.")
    document.save(path)
    return path.read_bytes()


def xlsx_bytes(path):
    import openpyxl

    book = openpyxl.Workbook()
    book.active.append(["a", "b"])
    book.active.append([1, 2])
    book.save(path)
    return path.read_bytes()


def pdf_bytes(path):
    from reportlab.pdfgen import canvas

    sheet = canvas.Canvas(str(path))
    sheet.drawString(72, 700, "One line of text.")
    sheet.save()
    return path.read_bytes()


SAMPLES = {
    "docx": docx_bytes,
    "xlsx": xlsx_bytes,
    "pdf": pdf_bytes,
    "html": lambda path: (
        b"<!DOCTYPE html><html><body><table><tr><td>1<td>2</table><p>x</p></html>" * 9
    ),
    "eml": lambda path: b"From: a@b\nMIME-Version: 1.0\nSubject: x\n\nText of the mail.\n" * 9,
    "rtf": lambda path: rb"{\rtf1\ansi{\fonttbl\f0 Arial;}Some {\b bold} text\par}" * 9,
}


def test_the_name_is_never_a_path(tmp_path):
    path = tmp_path / "stored"
    path.write_text("text")
    assert extract(path, "../../etc/passwd").title == "passwd"
