"""Files -> text. `ParserPool` reads them in child processes; `extract` in this one."""

from retrieval.parse.dispatch import extract
from retrieval.parse.limits import Limits
from retrieval.parse.page_view import Box, PageView
from retrieval.parse.pool import ParserPool

__all__ = ["Box", "Limits", "PageView", "ParserPool", "extract"]
