"""One document more or less costs about that document, whatever else the index holds."""

import shutil
from pathlib import Path

import pytest

from retrieval.ingest.writer import IndexWriter
from retrieval.records import Chunker
from retrieval.storage.store import Store
from retrieval.storage.verify import verify_index
from tests.retrieval.conftest import extracted

IO = Path("/proc/self/io")
pytestmark = [
    pytest.mark.java,
    pytest.mark.skipif(not IO.exists(), reason="the system does not count what a process writes"),
]
WORDS = "the river rose over the orchard and the mill in the valley stood still for days".split()


def text(n):
    return " ".join(WORDS[(n * step) % len(WORDS)] for step in range(1, 60)) + f" number{n}"


def moved(change):
    """Bytes that this process reads and writes by system calls in `change`, Lucene's among them."""

    def counted():
        found = dict(line.split(": ") for line in IO.read_text().splitlines())
        return int(found["rchar"]), int(found["wchar"])

    before = counted()
    change()
    return [after - start for start, after in zip(before, counted(), strict=True)]


def built(path, count):
    with IndexWriter(path, None) as writer:
        for n in range(count):
            writer.add(f"d{n}", f"{n}.txt", extracted(text(n)), whole=True)
        writer.commit()
    return path


def add_one(path):
    with IndexWriter(path, None) as writer:
        writer.add("new", "new.txt", extracted(text(99)), whole=True)
        writer.commit()


def test_adding_to_a_large_index_moves_no_more_than_to_a_small_one(tmp_path):
    small, large = built(tmp_path / "small", 100), built(tmp_path / "large", 3_000)
    for to_small, to_large in zip(
        moved(lambda: add_one(small)), moved(lambda: add_one(large)), strict=True
    ):
        assert to_large < 1.5 * to_small + 100_000
    assert sum(path.stat().st_size for path in large.rglob("*")) > 500_000
    assert verify_index(large) == []


def test_only_the_new_passages_are_encoded_and_only_its_vectors_written(
    small_index, tmp_path, encoder
):
    copy = shutil.copytree(small_index, tmp_path / "copy")
    before, heard = set((copy / "dense").iterdir()), []
    with IndexWriter(copy, encoder) as writer:
        writer.add("new", "new.txt", extracted("The miller's cat slept on the warm sacks."))
        writer.commit(lambda done, total: heard.append((done, total)))
    assert heard == [(1, 1)]
    assert before < set((copy / "dense").iterdir())
    assert Store.open(copy).segments()[-1].rows == 1


def test_counting_and_naming_read_no_texts(tmp_path):
    store = Store.create(tmp_path, None, Chunker())
    for n in range(10):
        store.add(f"d{n}", f"{n}.txt", extracted("x" * 1_000_000), [], 0)
    store.commit(1)
    store = Store.open(tmp_path)
    read, _ = moved(lambda: (store.counts(), store.names(), store.find("3.txt"), store.has("d5")))
    assert store.find("3.txt") == ["d3"]
    assert read < 100_000
