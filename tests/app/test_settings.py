import pytest

from app.settings import SettingsError, load_settings


@pytest.fixture(autouse=True)
def bare(monkeypatch, tmp_path):
    """A working folder without a file and an environment without our variables."""
    import os

    for name in [n for n in os.environ if n.startswith("ORBWEAVER_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_later_sources_win(bare, monkeypatch):
    assert load_settings().k == 4
    (bare / "orbweaver.toml").write_text("k = 5\nport = 1000\n")
    assert load_settings().k == 5
    monkeypatch.setenv("ORBWEAVER_K", "6")
    assert load_settings().k == 6
    assert load_settings(k=7, port=None).k == 7
    assert load_settings(k=7, port=None).port == 1000


def test_ocr_is_off_until_it_is_asked_for(monkeypatch):
    assert load_settings().ocr is False
    monkeypatch.setenv("ORBWEAVER_OCR", "1")
    assert load_settings().ocr is True


def test_home_is_absolute_and_from_the_environment(bare, monkeypatch):
    monkeypatch.setenv("ORBWEAVER_HOME", "mine")
    assert load_settings().home == bare / "mine"


@pytest.mark.parametrize("line", ["kk = 5", "k = 0", "port = 'x'", "k ="])
def test_a_wrong_file_is_one_clear_error(bare, line):
    (bare / "orbweaver.toml").write_text(line + "\n")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert "\n" not in str(caught.value)


def test_an_unknown_variable_is_named(monkeypatch):
    monkeypatch.setenv("ORBWEAVER_PROT", "1")
    with pytest.raises(SettingsError, match="ORBWEAVER_PROT"):
        load_settings()


def test_the_key_of_a_remote_model_is_no_setting(monkeypatch):
    monkeypatch.setenv("ORBWEAVER_MODEL_KEY", "secret")
    assert "secret" not in repr(load_settings())


def test_settings_are_frozen():
    with pytest.raises(Exception, match="frozen"):
        load_settings().k = 9


def test_quantisation_is_one_of_its_names(bare, monkeypatch):
    from jamba.config import Quantisation

    assert load_settings().quantisation is Quantisation.NONE
    monkeypatch.setenv("ORBWEAVER_QUANTISATION", "experts-int8")
    assert load_settings().quantisation is Quantisation.EXPERTS
    monkeypatch.setenv("ORBWEAVER_QUANTISATION", "int4")
    with pytest.raises(SettingsError, match="quantisation"):
        load_settings()
