"""The language model of one command."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.models.resolve import LanguageModel
    from app.settings import Settings


def language_model(settings: "Settings", keep: bool = False) -> "LanguageModel":
    """Load what the settings name and tell what must be known of it; `keep` as when loading."""
    from app.console import say
    from app.models.loading import load_language_model

    model = load_language_model(settings, keep)
    if model.notice:
        say(model.notice)
    return model
