"""The dashboard, built: a web page as files of the package. Its sources are in `frontend-hooks/dashboard`."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable

BUILD = "make dashboard"
"""What builds it in a checkout; a wheel has it built."""


def bundle() -> Traversable | None:
    """The folder with `index.html` and all that it loads; None in a checkout where nobody has built it."""
    folder = files(__name__) / "static"
    return folder if (folder / "index.html").is_file() else None
