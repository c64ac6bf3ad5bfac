"""Names of coins and venues that would run, link or load, in the pages of the real UI and in the report."""

from __future__ import annotations

from pathlib import Path

import pytest
from prefect.client.schemas.objects import StateType

from tests.e2e.desk import Desk, tiny
from tests.e2e.hostile import RAN, hostile_market, listener
from tests.e2e.screens import CHROMIUM, WHY_NOT, Page, browser, leave, visit
from tests.tasks.paper_made import kept_version, trader

pytestmark = [pytest.mark.prefect, pytest.mark.desk, pytest.mark.timeout(600)]
PLANTED = "a[href^='javascript:'], iframe, img:not([src^='data:']), [onerror], [onload], [onfocus]"


@pytest.mark.skipif(CHROMIUM is None, reason=WHY_NOT)
def test_hostile_names_run_link_and_load_nothing_in_the_ui_and_the_report(
    desk: Desk, sample: Path, tmp_path: Path
) -> None:
    with listener() as (url, heard):
        with desk.client() as client:
            there = bool(client.read_deployments())
        if not there:
            desk.deploy()
        market = hostile_market(sample, tmp_path / "market", url)
        desk.worker()
        run = desk.ended(desk.request("data-to-model/retrain", **tiny(market, book="hostile")))
        assert run.state is not None and run.state.type == StateType.COMPLETED, run.state
        # The tiny policy may never trade, and the report names only what was traded.
        version = kept_version(desk.root, "hostile", trader(1), tmp_path)
        asked = {
            "data": str(market),
            "book": "hostile",
            "model": version,
            "window": "all",
            "preset": "moderate",
        }
        tested = desk.ended(desk.request("backtest/backtest", **asked, random_runs=1))
        assert tested.state is not None and tested.state.type == StateType.COMPLETED, tested.state
        artifacts = desk.artifacts(run)
        ui = desk.url.removesuffix("/api")
        pages = {"run": Page(f"{ui}/runs/flow-run/{run.id}", ("Artifacts",))}
        for key, row in artifacts.items():
            if f"window.{RAN}" not in str(row.data) and url not in str(row.data):
                continue  # no name is on it
            heading = str(row.data).partition("\n")[0].removeprefix("# ")
            texts = (heading,) if row.type == "markdown" else ()
            pages[str(key)] = Page(f"{ui}/artifacts/artifact/{row.id}", texts)
        assert {"data-quality", "data-report"} <= set(pages)
        written = [*desk.root.glob("store/*/*/report.html"), *desk.root.glob("store/*/*/quality.html")]
        own = [path for path in written if "onerror=" in path.read_text(encoding="utf-8")]
        assert {path.name for path in own} == {"report.html", "quality.html"}
        pages |= {path.name: Page(path.as_uri(), ()) for path in own}
        told = "\n".join(str(row.data) for row in artifacts.values())
        assert "onerror=" in told and "javascript:" in told and url in told, "the names are on the pages"
        assert "onerror=" in run.name or "script" in run.name or url in run.name, "and in the run's name"
        with browser(desk.auth) as context:
            for name, page in pages.items():
                tab = visit(context, page, tmp_path / f"{name}-failed.png")
                tab.wait_for_timeout(300)
                assert tab.evaluate(f"window.{RAN}") is None, f"a name ran on {name}"
                planted = (
                    "a[href^='javascript:'], iframe, img:not([src^='data:']), [onerror], [onload], [onfocus]"
                )
                found = tab.locator(planted)
                assert [found.nth(i).evaluate("e => e.outerHTML") for i in range(found.count())] == [], name
                leave(tab)
        assert heard == []
