"""The real server over a small library; every file here has a copy and a server of its own."""

import io
import shutil
import threading

import httpx
import openai
import pytest

from app.ingest.worker import run_worker
from app.library import Library
from app.sample import sample_files
from app.serving.security import access_for
from app.serving.server import build_app
from app.serving.service import Service
from app.settings import load_settings
from tests.app.in_process import serving
from tests.app.serving.api.shelf import ANSWER_TOKENS, HOSTILE, PASSWORD, QUESTION


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory):
    """An untrained Jamba: it answers nonsense, but by the real engine."""
    import torch

    import jamba
    from jamba.network.model import Jamba
    from jamba.tokens.bpe import train_tokenizer

    folder = tmp_path_factory.mktemp("model")
    train_tokenizer([QUESTION, HOSTILE] * 3, 340, folder)
    config = jamba.JambaConfig(
        vocab_size=340, hidden_size=32, intermediate_size=48, num_hidden_layers=4,
        num_attention_heads=4, num_key_value_heads=2, attn_layer_period=2, attn_layer_offset=1,
        num_experts=1, num_experts_per_tok=1, max_position_embeddings=4096,
    )  # fmt: skip
    torch.manual_seed(0)
    jamba.save_model(Jamba(config), folder)
    return folder


@pytest.fixture(scope="session")
def stocked_home(tmp_path_factory):
    """A library with two documents on the shelf and an empty collection; to be copied."""
    home = tmp_path_factory.mktemp("stocked")
    library = Library.open(home)
    shelf = library.create_collection("Shelf")
    library.create_collection("Empty")
    report = next(path for path in sample_files() if path.suffix == ".pdf")
    library.add_file(shelf.id, report.name, report)
    library.add_file(shelf.id, "<b>bells.txt", io.BytesIO(HOSTILE.encode()))
    run_worker(home, stop=threading.Event(), once=True)
    return home


@pytest.fixture(scope="module")
def service(tmp_path_factory, stocked_home, model_folder):
    home = tmp_path_factory.mktemp("api") / "home"
    shutil.copytree(stocked_home, home)
    settings = load_settings(home=home, model=str(model_folder), answer_tokens=ANSWER_TOKENS)
    return Service(settings, Library.open(home))


@pytest.fixture(scope="module")
def address(service):
    """The server's address; it runs in this process, on a free port, behind a password."""
    app = build_app(service, access_for("127.0.0.1", secret=PASSWORD))
    with serving(app) as address:
        yield address


@pytest.fixture
def http(address):
    headers = {"Authorization": f"Bearer {PASSWORD}"}
    with httpx.Client(base_url=address, headers=headers, timeout=120) as client:
        yield client


@pytest.fixture
def client(address):
    with openai.OpenAI(base_url=f"{address}/v1", api_key=PASSWORD, max_retries=0) as made:
        yield made
