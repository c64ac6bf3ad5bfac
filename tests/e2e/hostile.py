"""A market whose coins and venues have names that try to run, to link, to load, and to break tables."""

from __future__ import annotations

import csv
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

RAN = "ran"  # what a name that runs sets on its window


def attacks(url: str) -> list[str]:
    """Return names that ask `url` for something, or say that they ran, wherever they are more than text.

    Args:
        url: Of a listener on loopback.
    """
    ran = f"window.{RAN}=1"  # a name has at most 100 characters
    return [
        f"<script>{ran};fetch('{url}/s')</script>",
        f'<img src=x onerror="{ran};fetch(`{url}/o`)">',
        f"![x]({url}/p.png)",
        f"[x](javascript:{ran})",
        f"<svg onload={ran}>",
        f"<iframe src='{url}/frame'></iframe>",
        f"'\"></code></td></table><img src={url}/q onload={ran}>",
        f"`</p><link rel=stylesheet href={url}/style>",
        "a|b|c| --- |",
        f"[x]: {url}/reference 'x'",
        f"{{{{ {ran} }}}}${{{ran}}}",
        f"<a href=javascript:{ran} autofocus onfocus={ran}>x</a>",
        "# x",
    ]


def hostile_market(sample: Path, out: Path, url: str) -> Path:
    """Write a generated market anew under hostile names, each symbol and each venue under its own.

    Args:
        sample: Folder with opportunities.csv and market_history.csv.
        out: The folder to make.
        url: As for `attacks`.
    """
    given: dict[str, dict[str, str]] = {"symbol": {}, "venue": {}}
    venues = ("exchange", "longExchange", "shortExchange")
    columns = {"symbol": "symbol"} | dict.fromkeys(venues, "venue")
    names = attacks(url)
    out.mkdir()
    for file in sorted(sample.glob("*.csv")):
        with file.open(newline="", encoding="utf-8") as source:
            rows = list(csv.reader(source))
        where = [(i, columns[name]) for i, name in enumerate(rows[0]) if name in columns]
        for row in rows[1:]:
            for i, kind in where:
                known = given[kind]
                if row[i] not in known:
                    known[row[i]] = f"{names[len(known) % len(names)]} {row[i]}"
                row[i] = known[row[i]]
        with (out / file.name).open("w", newline="", encoding="utf-8") as target:
            csv.writer(target).writerows(rows)
    return out


@contextmanager
def listener() -> Iterator[tuple[str, list[str]]]:
    """Listen on loopback for what names ask for; it should stay silent."""
    heard: list[str] = []

    class Ear(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    ear = HTTPServer(("127.0.0.1", 0), Ear)
    threading.Thread(target=ear.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{ear.server_port}", heard
    finally:
        ear.shutdown()
        ear.server_close()
