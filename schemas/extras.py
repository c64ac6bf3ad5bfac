"""The extras of pyproject.toml, in the words of an error."""

from __future__ import annotations


def how_to_install(extra: str) -> str:
    """Return the sentence that says how to install what only some people need."""
    return f"Install it with `pip install -c constraints.txt -e '.[{extra}]'`."
