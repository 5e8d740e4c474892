"""passages.db: what was removed is gone from the bytes of the file."""

from hashlib import sha256
from random import Random

from retrieval.records import Chunker, NewPassage
from retrieval.storage.store import FILE, Store
from retrieval.types import Extracted

COMMITS = 200
SEED = 25  # SQLite 3.40 leaves three removed words in the file


def add(store, word):
    passage = NewPassage(f"{digest(word)}#0", None, 0, len(word), word)
    extracted = Extracted(f"title of {word}", word, (), "text/plain")
    store.add(digest(word), f"{word}.txt", extracted, [passage], 0)


def digest(word):
    return sha256(word.encode()).hexdigest()


def test_purge_erases_what_secure_delete_leaves_behind(tmp_path):
    random, stored, removed = Random(SEED), [], []
    store = Store.create(tmp_path, None, Chunker())
    for generation in range(1, COMMITS):
        for _ in range(random.randint(1, 4)):
            if stored and random.random() < 0.45:
                removed.append(stored.pop(random.randrange(len(stored))))
                store.remove(digest(removed[-1]))
            else:
                stored.append(f"w{random.getrandbits(60):x}z" + "a" * random.randint(0, 5))
                add(store, stored[-1])
        store.commit(generation)
    rows = store.rows()
    store.purge()
    store.close()
    assert not words_in(tmp_path, removed)
    store = Store.open(tmp_path)
    assert store.rows() == rows
    assert not store.problems()
    assert sorted(store.names()) == sorted(map(digest, stored))
    store.close()


def words_in(folder, words):
    content = (folder / FILE).read_bytes()
    return [word for word in words if word.encode() in content]
