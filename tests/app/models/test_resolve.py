import pytest

import app.models.resolve
from app.answering.prompt import Reading
from app.models.model_types import ModelError
from app.models.resolve import resolve


def test_a_name_that_names_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError, match="no config"):
        resolve(str(tmp_path))
    with pytest.raises(ModelError, match="no folder, hub id"):
        resolve("no such thing")


def test_without_a_bundled_checkpoint_only_free_answers_fail(tmp_path, monkeypatch):
    monkeypatch.setattr(app.models.resolve, "BUNDLED", tmp_path / "absent")
    model = resolve()
    assert "no language model" in model.notice
    assert model.forget("d") == 0
    with pytest.raises(ModelError, match="--model"):
        model.generate(Reading("Why?", ()))
