"""What one file may cost."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds for parsing one file; what exceeds one fails with that as its reason."""

    seconds: float = 60.0
    memory_bytes: int = 2 * 2**30  # of one child process
    file_bytes: int = 100 * 2**20
    characters: int = 20_000_000  # of extracted text
    ocr_page_seconds: float = 180.0  # of OCR of one page, beside the above
    ocr_seconds: float = 3600.0  # of one file that needs OCR
    unpacked_bytes: int = 2**30  # of all members of a compressed format together


DEFAULT_LIMITS = Limits()
