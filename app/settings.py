"""One frozen settings object: defaults < orbweaver.toml < ORBWEAVER_* variables < flags."""

import os
import re
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from app.answering.reader import BUNDLED as BUNDLED_READER
from app.types import AnswerMode, OrbweaverError, QuoteSource
from jamba.config import Quantisation

CONFIG_FILE = Path("orbweaver.toml")  # read from the working folder
PREFIX = "ORBWEAVER_"
SECRETS = frozenset({"ORBWEAVER_MODEL_KEY"})  # read where it is used, kept nowhere


class SettingsError(OrbweaverError):
    """A setting is unknown or has a value it cannot have."""


def default_home() -> Path:
    """Where a user's library lives when nothing else is said: the platform's data folder."""
    from platformdirs import user_data_path

    return user_data_path("orbweaver", appauthor=False)


class Settings(BaseSettings):
    """Everything a person may set: checked once, here, then passed on as plain arguments."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, toml_file=CONFIG_FILE, frozen=True, extra="forbid", validate_default=True
    )

    home: Path = Field(default_factory=default_home)  # library, originals and indexes
    host: str = "127.0.0.1"
    port: int = Field(default=7860, ge=0, le=65535)
    password: SecretStr | None = None  # for the page and the API; none is needed on loopback
    allow_open: bool = False  # bind beyond loopback without a password
    model: str | None = None  # a folder, a hub id or a URL; None is the bundled checkpoint
    device: Literal["cpu", "cuda"] | None = None  # for a local model; None: a GPU if there is one
    quantisation: Quantisation = Quantisation.NONE  # what of a local model is held in int8
    encoder: str | None = None  # a folder or a hub id; None is the packaged MiniLM
    reader: Path = BUNDLED_READER  # a folder that `train reader` made
    mode: Literal[AnswerMode.QUOTE, AnswerMode.FREE] = AnswerMode.QUOTE
    quotes: QuoteSource = QuoteSource.READER  # who points at the words of a quote
    k: int = Field(default=4, ge=1, le=50)  # passages an answer is made from
    prompt_tokens: int = Field(default=2048, ge=256)  # budget for passages and question together
    answer_tokens: int = Field(default=256, ge=1)  # longest generated answer
    snapshot_mb: int = Field(default=1024, ge=0)  # memory for cached states
    snapshot_disk_mb: int = Field(default=8192, ge=0)  # disk for them; 0: they end with the process
    file_mb: int = Field(default=100, ge=1)  # largest file that is taken in
    ocr: bool = False  # read PDF pages that are pictures, by the optional extra

    @property
    def snapshot_folder(self) -> Path:
        """Where states of local models outlive the process."""
        return self.home / "snapshots"

    def needs_model(self, mode: AnswerMode) -> bool:
        """Whether an answer of this mode takes a language model."""
        return mode is AnswerMode.FREE or self.quotes is not QuoteSource.READER

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags first, then the environment, then the file; no other source is read."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def load_settings(**flags: Any) -> Settings:
    """Read the settings; a flag that is None was not given.

    Raises SettingsError for an unknown key in the file or in the environment, and for a bad value.
    """
    _refuse_unknown_variables()
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        settings = Settings(**given)
    except ValidationError as error:
        raise SettingsError("; ".join(_complaint(each) for each in error.errors())) from None
    except ValueError as error:  # the file is not TOML
        raise SettingsError(f"{CONFIG_FILE}: {error}") from None
    return settings.model_copy(update={"home": settings.home.expanduser().absolute()})


def _refuse_unknown_variables() -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields} | SECRETS
    given = {name.upper() for name in os.environ if name.upper().startswith(PREFIX)}
    if unknown := sorted(given - known):
        raise SettingsError(
            f"unknown setting {', '.join(unknown)}; known: {', '.join(sorted(known))}"
        )


def _complaint(error: Any) -> str:
    name = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"unknown setting '{name}' (in {CONFIG_FILE} or a flag)"
    said = re.sub(r"<\w+\.\w+: ('\w+')>", r"\1", error["msg"])  # an enum's value, not its repr
    return f"setting '{name}': {said}"
