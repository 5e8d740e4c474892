"""The parser's own children of this process: a browser that another test left has its own."""

import psutil


def reading_children():
    """Pids of the children that read files."""
    return [child.pid for child in psutil.Process().children() if is_ours(child)]


def is_ours(process):
    """Whether `process` is a child of the pool."""
    try:
        return "retrieval.parse.child" in " ".join(process.cmdline())
    except psutil.Error:
        return False
