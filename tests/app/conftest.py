"""One small real index for every test here: real encoder, real Lucene, real vectors."""

from pathlib import Path

import pytest

from tests.app.town import DOCUMENTS


@pytest.fixture(scope="session")
def encoder():
    from retrieval.encoder import load_encoder

    return load_encoder()


@pytest.fixture(scope="session")
def index_folder(tmp_path_factory, encoder) -> Path:
    from retrieval.writer import IndexWriter

    folder: Path = tmp_path_factory.mktemp("index") / "town"
    with IndexWriter(folder, encoder) as writer:
        for document in DOCUMENTS:
            writer.add(document.id, document.name, document.extracted)
        writer.commit()
    return folder


@pytest.fixture(scope="session")
def index(index_folder, encoder):
    from retrieval.index import Index

    opened = Index.open(index_folder, encoder)
    yield opened
    opened.close()
