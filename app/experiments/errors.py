"""What experiments raise."""

from app.types import OrbweaverError


class ExperimentError(OrbweaverError):
    """An experiment cannot be run as asked; the message says what to change."""
