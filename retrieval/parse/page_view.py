"""The picture of a page, as values; pdf_view.py makes them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle on a picture, in pixels from its top left."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True)
class PageView:
    """A page as a PNG of `width` by `height` pixels, and the boxes of the words asked for."""

    png: bytes
    boxes: tuple[Box, ...]
    width: int
    height: int
