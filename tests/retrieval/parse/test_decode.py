"""Text in any encoding."""

import pytest

from retrieval.parse.decode import decode

TEXT = "Größe: 12 € – naïve façade.\nZweite Zeile mit Umlauten: äöü.\n"


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-16-be", "cp1252"],
)
def test_encodings(encoding):
    assert decode(TEXT.encode(encoding)) == TEXT


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp932", "名前,年齢,住所\n佐藤太郎,30,東京\n三木英子,25,大阪\n"),
        ("koi8-r", "Это простой русский текст, достаточно длинный для проверки."),
        ("gb18030", "这是一个用来测试的中文句子，它应该足够长，可以识别编码。"),
    ],
)
def test_guessed_encodings(encoding, text):
    assert decode(text.encode(encoding)) == text


def test_what_a_file_declares_is_believed_if_it_fits():
    data = "Größe".encode("latin-1")
    assert decode(data, "iso-8859-1") == "Größe"
    assert decode("Größe".encode(), "iso-8859-1") == "Größe"
    assert decode("Größe".encode(), "no-such-encoding") == "Größe"


def test_empty():
    assert decode(b"") == ""
