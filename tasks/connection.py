"""The way to a shared store: its URL, attempts that are repeated, and what went wrong in words.

Credentials are the business of the library that opens the URL: they come from the environment or its own
configuration, and never from a URL.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from schemas.errors import ConfigError, UserError
from schemas.extras import how_to_install

T = TypeVar("T")

LOG = logging.getLogger("carryflow")
VARIABLE: Final = "CARRYFLOW_STORE"
PAUSES_S: Final = (0.5, 2.0, 8.0)  # between attempts, beside those that s3fs and botocore make within each
_OPTIONS: Final[dict[str, dict[str, Any]]] = {
    "file": {"auto_mkdir": True},
    "s3": {
        "use_listings_cache": False,  # others write there too
        "config_kwargs": {
            "connect_timeout": 5,
            "read_timeout": 20,
            "retries": {"mode": "standard", "total_max_attempts": 3},
        },
    },
}
_SECRETS: Final = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID")
_LONG: Final = 8


class SharedStoreError(UserError):
    """The shared store does not answer, refuses, or is not there."""


def check_url(url: str, *, where: str = VARIABLE) -> str:
    """Return the URL of a shared store as it was given, without a slash at its end.

    Args:
        url: Such as `s3://bucket/prefix` or `file:///mnt/shared/carryflow`.
        where: Which flag or variable it came from, for the error. A URL that is refused is not repeated in
            it: there may be a secret inside.

    Raises:
        ConfigError: It is none, of another kind, or carries credentials.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ConfigError(
            "a URL with a user, a password or parameters in it is refused: it would end up in logs.",
            where,
            "Name bucket and prefix alone; credentials come from the environment or from ~/.aws.",
        )
    if parts.scheme not in _OPTIONS or (parts.scheme == "file") == bool(parts.netloc):
        raise ConfigError(
            "is not the URL of a shared store.",
            where,
            "Give s3://bucket/prefix, or file:///folder for a folder that every machine has mounted.",
        )
    return url.rstrip("/")


class Connection:
    """A shared store's file system, asked with patience."""

    def __init__(self, url: str) -> None:
        self.url = url

    @property
    def root(self) -> str:
        """The path of the store in its file system."""
        parts = urlsplit(self.url)
        return f"{parts.netloc}{parts.path}"

    @property
    def on_disk(self) -> bool:
        """It is a folder that is mounted."""
        return urlsplit(self.url).scheme == "file"

    def look(self) -> None:
        """Look whether the bucket, or the folder, is there and lets us in.

        Raises:
            SharedStoreError: See the class.
        """
        _seen.discard(self.url)
        self.ask(lambda fs: None)

    def _there(self) -> str:
        """Return what has to be there before anything of ours is: the bucket, or the folder."""
        return urlsplit(self.url).netloc or self.root

    def _open(self) -> Any:
        """Return the file system; fsspec keeps it, and makes a new one in a forked child."""
        import fsspec

        kind = urlsplit(self.url).scheme
        try:
            return fsspec.filesystem(kind, **_OPTIONS[kind])
        except ImportError as error:
            raise ConfigError(
                f"{kind}:// needs a package that is not installed.",
                self.url,
                how_to_install(kind),
            ) from error

    def ask(self, do: Callable[[Any], T]) -> T:
        """Do something with the file system, again after a pause where it fails for a moment.

        Raises:
            FileNotFoundError: There is no such object; the bucket is there.
            FileExistsError: There is one already.
            SharedStoreError: See the class.
        """
        fs = self._open()
        for pause in (*PAUSES_S, None):
            try:
                if self.url not in _seen:
                    self._look(fs)
                return do(fs)
            except (FileNotFoundError, FileExistsError):
                raise
            except _failures() as error:
                if pause is None or isinstance(error, PermissionError):
                    raise self.trouble(error) from error
                LOG.info("the shared store does not answer (%s): trying again", _words(error))
                time.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    def _look(self, fs: Any) -> None:
        """Once in a process: without its bucket every artifact would look as if it had never been made."""
        try:
            fs.info(self._there())
        except FileNotFoundError:
            raise SharedStoreError(
                f"there is no {'folder' if self.on_disk else 'bucket'} {self._there()}.",
                self.url,
                "Make it, or mend --store (or CARRYFLOW_STORE).",
            ) from None
        _seen.add(self.url)

    def trouble(self, error: BaseException) -> SharedStoreError:
        """Return an error of the file system as a sentence for the user."""
        if isinstance(error, PermissionError):
            return SharedStoreError(
                f"the shared store lets nobody in with these credentials ({_words(error)}).",
                self.url,
                "Credentials come from the environment or from ~/.aws; they have to allow listing the "
                "bucket, reading and writing.",
            )
        return SharedStoreError(
            f"the shared store could not be used ({_words(error)}).",
            self.url,
            "What was made stays on this machine: ask again when the store is back.",
        )


_seen: set[str] = set()


@cache
def _failures() -> tuple[type[BaseException], ...]:
    """Return what a connection or the service behind it raises; what is a mistake of ours is not among it."""
    found: tuple[type[BaseException], ...] = (OSError,)
    with suppress(ImportError):
        from aiohttp import ClientError as HttpError
        from botocore.exceptions import BotoCoreError, ClientError

        found += (HttpError, BotoCoreError, ClientError)
    return found


def _words(error: BaseException) -> str:
    """Return what an error says, without a secret that a server may have repeated."""
    said = " ".join(str(error).split()) or type(error).__name__
    for name in _SECRETS:
        if len(value := os.environ.get(name, "")) >= _LONG:  # a short one is a test's, and part of words
            said = said.replace(value, "***")
    return said[:300].rstrip(". ")
