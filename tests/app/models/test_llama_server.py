"""The remote model against llama.cpp's own server, where the benchmark has built it."""

import socket
import subprocess
import sys
import time
from threading import Event

import httpx
import pytest

from app.answering.prompt import Reading, messages_with_documents
from app.models.model_types import Finished
from app.models.resolve import BUNDLED, resolve
from app.types import RetrievedPassage
from benchmarks.engine import llama_cpp

pytestmark = pytest.mark.slow
PASSAGE = RetrievedPassage(
    "d#0", "d", "a.txt", "Bridge", "The bridge opened in 1911. It was built by Ada Lind.", 1, 0, 52,
    1.0, {},
)  # fmt: skip
READING = Reading("When did the bridge open?", (PASSAGE,))
START_SECONDS = 60


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    program = llama_cpp.cache() / "build" / "bin" / "llama-server"
    if not program.exists():
        pytest.skip("llama-server is not built; python -m benchmarks.engine.llama_cpp builds it")
    file = tmp_path_factory.mktemp("gguf") / "sample.gguf"
    llama_cpp.write_gguf(BUNDLED, file, has_words=True)
    port = free_port()
    command = [program, "-m", file, "--port", port, "-c", 2048, "-t", 1, "--jinja", "--no-warmup"]
    log = file.with_suffix(".log")
    with log.open("wb") as out:
        server = subprocess.Popen([str(part) for part in command], stdout=out, stderr=out)
    try:
        wait_until_up(server, f"http://127.0.0.1:{port}/health", log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait(30)


def wait_until_up(server, health, log):
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        assert server.poll() is None, log.read_text(errors="replace")[-3000:]
        try:
            if httpx.get(health, trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    pytest.fail(f"no server after {START_SECONDS} s: {log.read_text(errors='replace')[-3000:]}")


@pytest.fixture
def remote(address):
    model = resolve(address, prompt_tokens=1000, answer_tokens=16)
    yield model
    model.close()


def read(model, reading=READING, cancel=None):
    *pieces, end = model.generate(reading, cancel)
    assert isinstance(end, Finished)
    return "".join(pieces), end


def test_a_real_server_answers_as_our_engine_does(remote):
    """The same weights, the same template, the likeliest tokens: the same words."""
    from jamba.engine import Engine
    from jamba.network.weights import load_model
    from jamba.sampling import SamplingParams
    from jamba.tokens.chat import load_tokenizer

    text, end = read(remote)
    prompt = load_tokenizer(BUNDLED).encode_chat(messages_with_documents(READING)).ids
    assert end.cache.prompt_tokens == len(prompt)
    tokenizer = load_tokenizer(BUNDLED)
    with Engine(load_model(BUNDLED)) as engine:
        params = SamplingParams(max_tokens=16, stop_ids=tokenizer.eos_ids)
        ours = tokenizer.decode(list(engine.stream(engine.submit(prompt, params))))
    assert text.strip() == ours.strip()
    assert "127.0.0.1" in remote.notice


def test_a_cancelled_answer_stops(remote):
    cancel = Event()
    cancel.set()
    _, end = read(remote, cancel=cancel)
    assert end.stopped


def test_model_and_server_are_named(address, remote):
    assert remote.name.endswith("sample.gguf")
    assert remote.host == address.split("/")[2]


def test_writing_a_gguf_file_leaves_the_import_path_alone(address):
    """The archive's own `tests` folder would hide ours from every child process."""
    assert not [entry for entry in sys.path if entry.endswith("gguf-py")]
