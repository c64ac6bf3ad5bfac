"""A headless Chromium that looks at a page: a screenshot, and where its pictures are.

The page is put into a frame of a given width, as a phone would show it: Chromium's own windows are never
narrower than 500 pixels. The screenshot is of the page as it is. Places come from a copy whose policy on
scripts is taken out and that tells its parent.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.image import imread
from numpy.typing import NDArray

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WHY_NOT = "Chromium is not installed (Debian: apt-get install chromium)"
_MEASURE = """<script>addEventListener('load', () => setTimeout(() => {
  const e = document.documentElement, at = (x) => { const r = x.getBoundingClientRect();
    return [r.left + scrollX, r.top + scrollY, r.width, r.height].map(Math.round) };
  parent.postMessage(JSON.stringify({height: e.scrollHeight, wide: e.scrollWidth, room: e.clientWidth,
    pictures: [...document.images].filter((i) => i.offsetWidth)
      .map((i) => ({alt: i.alt, at: at(i), loaded: i.naturalWidth > 0}))}), '*')
}, 50))</script>"""
_FRAME = """<!doctype html><body style="margin:0"><iframe src="{page}" style="border:0;display:block"
width="{width}" height="{height}"></iframe><script>addEventListener('message', (m) => {{
document.body.dataset.said = m.data }})</script></body>"""

Image = NDArray[np.float64]


@dataclass(frozen=True)
class Seen:
    """A page in a browser.

    Attributes:
        image: (height, width, 3), 0 to 1.
        pictures: Alternative text and place (left, top, width, height) of every picture, in pixels.
        loaded: Whether each picture could be decoded.
        overhang: Pixels by which the page is wider than its window.
    """

    image: Image
    pictures: list[tuple[str, tuple[int, int, int, int]]]
    loaded: list[bool]
    overhang: int

    def cut(self, at: tuple[int, int, int, int]) -> Image:
        """Return a part of the screenshot."""
        left, top, width, height = at
        return self.image[top : top + height, left : left + width]


def look(page: Path, folder: Path, width: int) -> Seen:
    """Open a page in a window of some width and see all of it.

    Args:
        page: The HTML file.
        folder: For temporary files.
        width: Of the window, pixels.
    """
    copy = folder / "measured.html"
    text = page.read_text("utf-8")
    bare = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    copy.write_text(bare.replace("</head>", _MEASURE + "</head>"), "utf-8")
    told = _frame(copy, folder, width, 1000)
    dom = _chromium(folder, "--dump-dom", "--virtual-time-budget=20000", str(told)).decode("utf-8")
    said = re.search(r'data-said="([^"]*)"', dom)
    assert said is not None, "the page did not load"
    facts = json.loads(said[1].replace("&quot;", '"').replace("&amp;", "&"))
    shot = folder / f"shot-{width}.png"
    framed = _frame(page, folder, width, facts["height"])
    _chromium(
        folder, f"--screenshot={shot}", f"--window-size={max(width, 500)},{facts['height']}", str(framed)
    )
    image = read_png(shot.read_bytes())[:, :width]
    return Seen(
        image,
        [(found["alt"], tuple(found["at"])) for found in facts["pictures"]],
        [found["loaded"] for found in facts["pictures"]],
        facts["wide"] - facts["room"],
    )


def read_png(png: bytes) -> Image:
    """Return (height, width, 3) colours of a PNG, 0 to 1."""
    return np.asarray(imread(io.BytesIO(png)), np.float64)[:, :, :3]


def print_pdf(page: Path, folder: Path) -> bytes:
    """Return the page as it is printed."""
    out = folder / "printed.pdf"
    _chromium(folder, f"--print-to-pdf={out}", "--no-pdf-header-footer", str(page))
    return out.read_bytes()


def blank(image: Image) -> bool:
    """Return whether a chart shows no data: next to nothing has a colour, as axes and letters have none.

    Args:
        image: (height, width, 3), 0 to 1.
    """
    if image.size == 0:
        return True
    colourful = image.max(axis=2) - image.min(axis=2) > 0.12
    return float(colourful.mean()) < 0.001


def _frame(page: Path, folder: Path, width: int, height: int) -> Path:
    frame = folder / "frame.html"
    frame.write_text(_FRAME.format(page=page.resolve().as_uri(), width=width, height=height), "utf-8")
    return frame


def _chromium(folder: Path, *arguments: str) -> bytes:
    assert CHROMIUM is not None
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
        "--force-device-scale-factor=1", f"--user-data-dir={folder / 'profile'}",
        "--host-resolver-rules=MAP * ~NOTFOUND", *arguments,
    ]  # fmt: skip
    return subprocess.run(command, check=True, capture_output=True, timeout=300).stdout
