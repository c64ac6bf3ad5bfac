"""Pictures of the desk's UI: the main pages of a running server in headless Chromium, behind its login."""

from __future__ import annotations

import argparse
import base64
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WHY_NOT = "Chromium is not installed (Debian: apt-get install chromium)"


@dataclass(frozen=True)
class Page:
    """A page to look at.

    Attributes:
        address: Where it is.
        texts: What has to be on it before the picture is taken.
        whole: The picture shows more of the page than fits a screen.
        click: A text to click first, such as a tab.
        patience_ms: How long each text may take to come.
    """

    address: str
    texts: tuple[str, ...]
    whole: bool = False
    click: str = ""
    patience_ms: float = 120_000


@contextmanager
def browser(auth: str) -> Iterator[Any]:
    """Open a headless Chromium that is logged in and finds no machine but this one.

    Args:
        auth: The server's secret.
    """
    from playwright.sync_api import sync_playwright

    key = base64.b64encode(auth.encode()).decode()
    with sync_playwright() as play:
        chromium = play.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            ],
        )
        context = chromium.new_context(viewport={"width": 1400, "height": 1000})
        context.add_init_script(f"localStorage.setItem('prefect-password', {key!r})")
        yield context
        chromium.close()


def visit(context: Any, page: Page, failed: Path) -> Any:
    """Open a page, wait until it shows what it should, and return the tab.

    Args:
        context: Of `browser`.
        page: Where, and what has to be on it.
        failed: The picture to take where it does not.

    Raises:
        TimeoutError: A text did not come.
        AssertionError: The page ran a script that asked, or asked somebody else for something.
    """
    from playwright.sync_api import TimeoutError as NotThere

    tab = context.new_page()
    if page.whole:  # the UI scrolls inside of its window, so that the window has to be tall
        tab.set_viewport_size({"width": 1400, "height": 2600})
    tab.dialogs, tab.abroad = [], []
    own = ("data:", "blob:", page.address if page.address.startswith("file:") else _origin(page.address))
    tab.on("dialog", lambda dialog: (tab.dialogs.append(dialog.message), dialog.dismiss()))
    tab.on("request", lambda asked: None if asked.url.startswith(own) else tab.abroad.append(asked.url))
    try:
        tab.goto(page.address, wait_until="domcontentloaded", timeout=page.patience_ms)
        if page.click:
            tab.get_by_text(page.click, exact=True).first.click(timeout=page.patience_ms)
        for text in page.texts:
            tab.get_by_text(text).first.wait_for(state="visible", timeout=page.patience_ms)
    except NotThere as error:
        tab.screenshot(path=failed)
        seen = tab.inner_text("body")[:500]
        raise TimeoutError(f"{page.address} does not show {page.texts}, but: {seen!r}") from error
    return tab


def leave(tab: Any) -> None:
    """Close a tab whose page has been looked at; it must have run and asked for nothing of others."""
    assert tab.dialogs == [], f"{tab.url} ran a script: {tab.dialogs}"
    assert tab.abroad == [], f"{tab.url} asked others: {tab.abroad}"
    tab.close()


def _origin(address: str) -> str:
    return "/".join(address.split("/")[:3]) + "/"


def take(pages: Mapping[str, Page], out: Path, auth: str) -> dict[str, str]:
    """Visit pages as a person who logs in, and write a PNG of each.

    Args:
        pages: By the name of their picture.
        out: Folder for the pictures.
        auth: The server's secret.

    Returns:
        The text that each page shows.

    Raises:
        TimeoutError: A page does not show what it should.
    """
    out.mkdir(parents=True, exist_ok=True)
    shown: dict[str, str] = {}
    with browser(auth) as context:
        for name, page in pages.items():
            tab = visit(context, page, out / f"{name}-failed.png")
            tab.wait_for_timeout(1000)  # charts fade in
            tab.screenshot(path=out / f"{name}.png")
            shown[name] = tab.inner_text("body")
            leave(tab)
    return shown


def desk_pages(
    url: str, run_id: str, run_name: str, deployment_id: str, report: Path | None
) -> dict[str, Page]:
    """Return the main pages of a desk: dashboard, runs, a run with its artifacts, a form, the report.

    Args:
        url: The server's, without `/api`.
        run_id: A retrain that completed.
        run_name: Its name.
        deployment_id: The deployment whose form is shown.
        report: A report.html.
    """
    pages = {
        "dashboard": Page(f"{url}/dashboard", ("Flow Runs",)),
        "runs": Page(f"{url}/runs", (run_name,)),
        "run": Page(f"{url}/runs/flow-run/{run_id}", (run_name, "Artifacts")),
        "artifacts": Page(f"{url}/runs/flow-run/{run_id}", ("Training",), True, "Artifacts"),
        "form": Page(f"{url}/deployments/deployment/{deployment_id}/run", ("max_data_age_hours",), True),
    }
    if report is not None:
        pages["report"] = Page(report.resolve().as_uri(), ("The ladder",), True)
    return pages


def main(words: list[str] | None = None) -> int:
    """Take pictures of a server that runs: `make screenshots`."""
    import flows.settings

    flows.settings.apply()  # finds the server's secret; Prefect reads it when it is imported
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter
    from prefect.client.schemas.sorting import FlowRunSort

    from flows.desk.access import AUTH, URL

    parser = argparse.ArgumentParser(prog="make screenshots", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("artifacts/screenshots"))
    asked = parser.parse_args(words)
    if CHROMIUM is None:
        print(WHY_NOT, file=sys.stderr)
        return 2
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name("data-to-model/retrain")
        done = FlowRunFilter.model_validate(
            {"deployment_id": {"any_": [deployment.id]}, "state": {"name": {"any_": ["Completed"]}}}
        )
        runs = client.read_flow_runs(flow_run_filter=done, sort=FlowRunSort.END_TIME_DESC, limit=1)
    if not runs:
        print("No retrain has completed on this server yet.", file=sys.stderr)
        return 2
    url = os.environ[URL].removesuffix("/api")
    made = Path("artifacts")  # a worker's runs leave theirs in the store, the command line's are laid out
    found = [*made.glob("reports/*/*/report.html"), *made.glob("store/judgement/*/report.html")]
    reports = sorted(found, key=lambda path: path.stat().st_mtime)
    pages = desk_pages(
        url, str(runs[0].id), runs[0].name, str(deployment.id), reports[-1] if reports else None
    )
    take(pages, asked.out, os.environ.get(AUTH, ""))
    for name in pages:
        print(asked.out / f"{name}.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
