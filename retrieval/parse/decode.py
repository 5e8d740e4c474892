"""Bytes of a text file -> str, in whatever encoding it was written."""

import codecs

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WESTERN = frozenset("ÄÅÀÂÉÈÊÎÔÖÛÜÇÑäåæàáâãçéèêëíìîïñóòôöõøúùûüßœ€£§°±²³·«»…–—‘’“”„•™©®\u00a0")
_SAMPLE = 2**18  # bytes looked at to guess an encoding


def decode(data: bytes, declared: str | None = None) -> str:
    """The text of `data`: by its byte order mark, as UTF-8, as `declared`, else the best guess."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding, errors="replace")
    wide = _unmarked_utf16(data)
    for candidate in [wide] if wide else ["utf-8", declared]:
        text = _try(data, candidate)
        if text is not None:
            return text
    return data.decode(_guess(data), errors="replace")


def _try(data: bytes, encoding: str | None) -> str | None:
    if not encoding:
        return None
    try:
        return data.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        return None


def _unmarked_utf16(data: bytes) -> str | None:
    """UTF-16 without a mark shows in Latin text as a zero in every second byte."""
    sample = data[:4096]
    half = len(sample) // 2
    if half < 2:
        return None
    if sample[1::2].count(0) > 0.7 * half and sample[0::2].count(0) < 0.1 * half:
        return "utf-16-le"
    if sample[0::2].count(0) > 0.7 * half and sample[1::2].count(0) < 0.1 * half:
        return "utf-16-be"
    return None


def _guess(data: bytes) -> str:
    from charset_normalizer import from_bytes

    if _is_western(data[:_SAMPLE]):
        return "cp1252"
    best = from_bytes(data[:_SAMPLE]).best()
    return best.encoding if best is not None else "cp1252"


def _is_western(data: bytes) -> bool:
    """Whether the data reads as Windows' western encoding, by far the most usual of its family."""
    text = _try(data, "cp1252")
    return text is not None and all(c.isascii() or c in _WESTERN for c in text)
