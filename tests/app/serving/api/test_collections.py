"""Collections over HTTP: cited answers whole and streamed, listings, refusals."""

import io
import threading

import pytest

from app.ingest.worker import run_worker
from app.serving.service import NothingToSearch
from tests.app.serving.api.shelf import QUESTION, ask, shelf_id

pytestmark = [pytest.mark.java, pytest.mark.usefixtures("address")]  # which loads the models


def test_an_answer_cites_the_exact_words(http, service):
    answer = ask(http, service).json()
    assert answer["mode"] == "quote"
    cited = answer["citations"][0]
    assert "2.91" in cited["text"]
    assert (cited["document"], cited["page"]) == ("annual-report-2025.pdf", 1)
    text = service.index(shelf_id(service)).text(cited["document_id"])
    assert text[cited["start"] : cited["end"]] == cited["text"]


def test_answers_keep_to_the_documents_named(http, service):
    rows = {row["name"]: row["id"] for row in documents(http, service)}
    answer = ask(http, service, documents=[rows["<b>bells.txt"]]).json()
    assert {each["document"] for each in answer["passages"]} == {"<b>bells.txt"}
    assert ask(http, service, documents=["nothing"]).status_code == 404


def documents(http, service):
    return http.get(f"/v1/collections/{shelf_id(service)}/documents").json()["data"]


def test_collections_and_documents_are_listed(http, service):
    collections = http.get("/v1/collections").json()["data"]
    assert [(each["name"], each["ready"]) for each in collections] == [("Shelf", 2), ("Empty", 0)]
    assert {row["state"] for row in documents(http, service)} == {"ready"}
    assert http.get("/v1/collections/999/documents").status_code == 404
    refused = http.get(f"/v1/collections/{10**20}/documents")
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "collection_id")


@pytest.mark.parametrize(
    ("body", "status", "named"),
    [
        ({"temperature": 1}, 400, "temperature"),
        ({"mode": "poem"}, 400, "mode"),
        ({"history": [{"question": "a"}]}, 400, "history.0.answer"),
        ({"question": "   "}, 400, None),
        ({"question": "x" * 9000}, 400, None),
    ],
)
def test_wrong_requests_say_what_is_wrong(http, service, body, status, named):
    answer = ask(http, service, **body)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert error["param"] == named
    assert named is None or named in error["message"]


def test_an_empty_collection_is_a_conflict(http, service):
    empty = service.library.collections()[1].id
    answer = http.post(f"/v1/collections/{empty}/ask", json={"question": QUESTION})
    assert (answer.status_code, "add one" in answer.json()["error"]["message"]) == (409, True)
    with pytest.raises(NothingToSearch):
        service.ask(empty, QUESTION)


def test_unknown_routes_and_broken_json_get_the_envelope(http, service):
    assert http.get("/v1/nothing").json()["error"]["type"] == "not_found_error"
    broken = http.post(f"/v1/collections/{shelf_id(service)}/ask", content=b"{")
    assert broken.status_code == 400


def test_removing_a_document_leaves_nothing_to_cite(http, service):
    library = service.library
    row = library.add_file(
        shelf_id(service), "tide.txt", io.BytesIO(b"The tide mill was sold in 1788.")
    )
    run_worker(library.home, stop=threading.Event(), once=True)
    question = {"question": "When was the tide mill sold?"}
    assert "1788" in ask(http, service, **question).json()["answer"]
    service.remove(row.id)
    for _ in range(2):  # marked first, and then gone from the index
        answer = ask(http, service, **question).json()
        assert "1788" not in str(answer["passages"]) + answer["answer"]
        run_worker(library.home, stop=threading.Event(), once=True)
