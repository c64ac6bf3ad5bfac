"""`carryflow run` and `backtest` as typed, every step real but without Prefect: both verdicts, and why."""

from __future__ import annotations

import html
import json
import re
import shlex
import shutil
import webbrowser
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from schemas.manifest import Ref
from tasks.registry import Registry
from tasks.store import Store

TINY = {
    "n_envs": 4, "n_cohorts": 2, "rollout_steps": 24, "batch_size": 96, "n_epochs": 1, "episode_hours": 24,
    "burn_in_share": 0.0, "threads": 1,
}  # fmt: skip
SMALL = ["--set", "stress.placebo_runs=1", "--set", "audit_times=2", "--set", "ladder.bound=false"]
RUN = ["--num-episodes", 8, *SMALL, *(w for k, v in TINY.items() for w in ("--set", f"training.{k}={v}"))]
BACKTEST = ["--preset", "moderate", "--random-runs", 1, *SMALL]


@pytest.fixture(scope="module")
def shared_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact root that holds the first run. Copy it before you change it."""
    return tmp_path_factory.mktemp("run") / "artifacts"


@pytest.fixture
def results(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Flows run here, without a server; what each returned."""
    import flows.backtest
    import flows.data_to_model
    import flows.launch

    returned: list[dict[str, Any]] = []

    def call(step: Any, *args: Any, **kwargs: Any) -> Any:
        made = step.fn(*args, **kwargs)
        return made if isinstance(made, Ref | tuple) else made.data

    def kept(flow: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
        def run(**given: Any) -> dict[str, Any]:
            returned.append(flow(**given))
            return returned[-1]

        return run

    for module, name in ((flows.data_to_model, "data_to_model"), (flows.backtest, "backtest")):
        monkeypatch.setattr(module, "call", call)
        monkeypatch.setattr(module, name, kept(getattr(module, name).fn))
    monkeypatch.setattr(flows.launch, "in_prefect", lambda **_: nullcontext())
    return returned


@pytest.fixture
def ran(carryflow: Callable[..., Any], results: list[dict[str, Any]], sample: Path, shared_root: Path) -> Any:
    """A run of the tiny sample; the first one computes."""
    return carryflow("run", "--data", sample, *RUN, "--artifacts", shared_root)


@pytest.fixture
def root(ran: Any, shared_root: Path, artifacts: Path) -> Path:
    assert ran.code == 0, ran.err
    shutil.copytree(shared_root, artifacts)
    return artifacts


def flat(text: str) -> str:
    return " ".join(text.split())


def test_a_run_ends_with_both_verdicts_and_the_reason_of_every_gate_that_is_missed(
    ran: Any, results: list[dict[str, Any]]
) -> None:
    assert ran.code == 0, ran.err
    [result] = results
    assert json.loads(json.dumps(result)) == result
    assert set(result["decisions"]) == {"challenger", "champion"}
    said = flat(ran.out)
    for alias, decision in result["decisions"].items():
        assert f"{alias.capitalize()}: {flat(decision['reason'])}" in said
        assert decision["reason"].startswith("Not promoted, because")
        for gate in decision["gates"]:
            assert gate["name"] in ran.out
            if gate["verdict"] == "fail":
                assert gate["reason"].rstrip(".")[1:] in said
    assert len(result["decisions"]["champion"]["gates"]) > len(result["decisions"]["challenger"]["gates"])


def test_a_run_tells_what_its_returns_prove_and_how_it_stood_the_stress(ran: Any) -> None:
    said = flat(ran.out)
    assert "The test window has 1 whole day" in said and "1 trial opened on these hours" in said
    for name in ("fees x2", "fills an hour later", "venue frozen"):
        assert name in said
    assert "dealt anew each hour" in said


def test_the_report_lies_beside_the_tables_evidence_and_stress_of_the_run(ran: Any) -> None:
    [line] = [line for line in ran.out.splitlines() if line.startswith("Report: ")]
    beside = {path.name for path in Path(line.removeprefix("Report: ")).parent.iterdir()}
    assert {"report.html", "gates.json", "evidence.json", "stress.json", "backtest.json"} <= beside
    assert {"quality.html", "drift.json", "training_data.json"} <= beside
    assert 'href="quality.html"' in Path(line.removeprefix("Report: ")).read_text(encoding="utf-8")


def test_a_second_run_computes_nothing(
    carryflow: Callable[..., Any], root: Path, results: list[dict[str, Any]], sample: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in (root / "store").rglob("*") if path.is_file()}
    again = carryflow("run", "--data", sample, *RUN)
    assert again.code == 0, again.err
    assert results[0] == results[1]
    assert {path: path.stat().st_mtime_ns for path in (root / "store").rglob("*") if path.is_file()} == before


def test_what_cash_earns_is_one_rate_on_the_ladder_and_in_the_gates(
    carryflow: Callable[..., Any], root: Path, results: list[dict[str, Any]], sample: Path
) -> None:
    for words in (("--cash-apr", 4), ("--set", "gates.cash_apr=4"), ("--set", "ladder.cash_apr=4")):
        done = carryflow("run", "--data", sample, *RUN, *words)
        assert done.code == 0, done.err
        assert "no better than cash at 4 % a year" in flat(done.out)
        assert "Over cash at 4 %" in done.out
    assert results[-1] == results[-2] == results[-3]
    summary = json.loads((Store(root).path(Ref.parse(results[-1]["backtest"])) / "backtest.json").read_text())
    assert summary["ladder"]["cash_apr"] == 4
    refused = carryflow("run", "--data", sample, "--set", "gates.cash_apr=4", "--set", "ladder.cash_apr=5")
    assert refused.code == 2
    assert "cash earns 5 % in the ladder and 4 % in the gates" in refused.err


def test_a_version_that_needs_approval_is_asked_for_by_a_flag(
    carryflow: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr("flows.launch.run_data_to_model", lambda **given: asked.update(given))
    for words, wanted in (((), False), (("--require-approval",), True)):
        assert carryflow("run", "--data", tmp_path, *words).code == 0
        assert asked["advanced"].gates.require_approval is wanted


def test_a_replay_has_evidence_and_on_request_stress_and_moves_no_alias(
    carryflow: Callable[..., Any], root: Path, results: list[dict[str, Any]], sample: Path
) -> None:
    version = results[0]["decisions"]["challenger"]["version"]
    plain = carryflow("backtest", "--data", sample, "--model", version, *BACKTEST)
    assert plain.code == 0, plain.err
    assert "The replayed window has" in plain.out and "venue frozen" not in plain.out
    assert (results[-1]["stress"], "romoted" in plain.out) == ("", False)
    tried = carryflow("backtest", "--data", sample, "--model", version, *BACKTEST, "--stress")
    assert tried.code == 0, tried.err
    assert "venue frozen" in tried.out
    assert results[-1]["stress"] == results[0]["stress"]  # the run had asked the same
    assert results[-1]["judgement"] != results[-2]["judgement"]
    [line] = [line for line in tried.out.splitlines() if line.startswith("Report: ")]
    assert (Path(line.removeprefix("Report: ")).parent / "stress.json").is_file()
    assert Registry(root, "default").aliases() == {"challenger": None, "champion": None}


def test_a_report_is_opened_in_the_browser_and_without_one_nothing_is_begun(
    carryflow: Callable[..., Any],
    root: Path,
    results: list[dict[str, Any]],
    sample: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    version = results[0]["decisions"]["challenger"]["version"]
    words = ["backtest", "--data", sample, "--model", version, *BACKTEST, "--open"]
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "get", lambda: object())
    monkeypatch.setattr(webbrowser, "open", lambda address: opened.append(address) or len(opened) == 1)
    done = carryflow(*words)
    assert done.code == 0, done.err
    [line] = [line for line in done.out.splitlines() if line.startswith("Report: ")]
    assert opened == [Path(line.removeprefix("Report: ")).absolute().as_uri()]
    reluctant = carryflow(*words)
    assert reluctant.code == 0 and "Note: the browser would not open" in reluctant.err

    def none() -> None:
        raise webbrowser.Error("could not locate runnable browser")

    monkeypatch.setattr(webbrowser, "get", none)
    before = len(results)
    refused = carryflow(*words)
    assert (refused.code, len(results)) == (2, before)
    assert "--open: there is no browser here." in refused.err


def test_the_report_holds_the_command_that_makes_its_backtest_again(
    carryflow: Callable[..., Any], results: list[dict[str, Any]], sample: Path, root: Path
) -> None:
    page = (Store(root).path(Ref.parse(results[-1]["judgement"])) / "report.html").read_text(encoding="utf-8")
    [said] = re.findall(r"<pre><code>(.*?)</code></pre>", page, re.S)
    words = [word if word != "DATA" else sample for word in shlex.split(html.unescape(said))]
    assert words[:2] == ["carryflow", "backtest"]
    again = carryflow(*words[1:], "--artifacts", root)
    assert again.code == 0, again.err

    def told(result: dict[str, Any]) -> dict[str, Any]:
        path = Store(root).path(Ref.parse(result["backtest"])) / "backtest.json"
        summary = json.loads(path.read_text(encoding="utf-8"))
        return {name: summary[name] for name in ("version", "start", "end", "rules", "results", "ladder")}

    assert told(results[-1]) == told(results[-2])
