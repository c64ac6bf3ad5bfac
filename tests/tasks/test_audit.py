"""The audit as a step: what it leaves, what it is compared with, and what the judgement makes of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rl.audit.rebuild import Pipeline
from rl.market.scaler import Scaler
from schemas.audit import AUDIT, AuditReport
from schemas.params import Advanced
from schemas.promotion import Gate
from tasks import show
from tasks.audit import audit, audit_data
from tasks.backtest import backtest
from tasks.cache import Cached
from tasks.features import features
from tasks.ingest import ingest
from tasks.judgement import judge
from tasks.ledger import Ledger
from tasks.training import train
from tasks.verdicts import read_gates
from tests.tasks.test_shells import ADVANCED

TIMES = 2


@pytest.fixture(scope="module")
def finished(
    sample: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Cached, Cached, Cached, Cached]:
    """A root with a trained policy and its audit: root, data set, features, model, audit."""
    root = tmp_path_factory.mktemp("audit") / "artifacts"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CARRYFLOW_ARTIFACTS", str(root))
        dataset = ingest(sample)
        built = features(dataset.ref, rules=ADVANCED.rules, episode_hours=24)
        model = train(
            built.ref,
            training=ADVANCED.training_config(seed=0, num_episodes=8),
            preset="moderate",
            rules=ADVANCED.rules,
            book="b",
        )
        made = audit(
            dataset.ref, built.ref, model.ref, rules=ADVANCED.rules, book="b", times=TIMES, seed=0
        )  # fmt: skip
    return root, dataset, built, model, made


@pytest.fixture
def root(finished: tuple[Path, Cached, Cached, Cached, Cached], monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CARRYFLOW_ARTIFACTS", str(finished[0]))
    return finished[0]


def report(made: Cached) -> AuditReport:
    return AuditReport.model_validate_json((made.path / AUDIT).read_text(encoding="utf-8"))


def gate(judged: Cached) -> Gate:
    [found] = [gate for gate in read_gates(judged.path).challenger if gate.name == "audit"]
    return found


def test_an_audit_of_a_run_passes_and_names_what_it_is_of(
    root: Path, finished: tuple[Path, Cached, Cached, Cached, Cached]
) -> None:
    _, _, built, model, made = finished
    found = report(made)
    assert found.holds, found.first_difference
    assert found.version == model.manifest.summary["version"]
    assert found.data_hash == built.manifest.inputs["dataset"]
    assert found.deciders == ("agent", "greedy", "random")
    assert (found.with_history, len(found.times)) == (True, TIMES)
    assert made.manifest.summary["compared"] == found.compared > 100_000
    assert not Ledger(root, "b").read("opening")  # no result was looked at


def test_the_same_question_is_answered_from_the_store_and_another_is_not(
    root: Path, finished: tuple[Path, Cached, Cached, Cached, Cached], sample: Path
) -> None:
    made = finished[4]
    file = str(finished[3].path / "best_model.safetensors")
    # The checkpoint says under which rules, not the question.
    poorer = Advanced.model_validate({"rules": {"initial_capital": 500.0}})
    again = audit_data(sample, None, file, book="b", times=TIMES, seed=0, advanced=poorer)
    assert (again.ref, again.hit) == (made.ref, True)
    other = audit_data(sample, None, None, book="b", times=TIMES, seed=0, advanced=ADVANCED)
    assert other.ref != made.ref
    assert report(other).version is None and report(other).holds


def test_the_judgement_shows_the_audit_among_its_gates_and_does_not_pass_without(
    root: Path, finished: tuple[Path, Cached, Cached, Cached, Cached]
) -> None:
    _, _, built, model, made = finished
    tested = backtest(
        built.ref, model.ref, rules=ADVANCED.rules, book="b", purpose="ad hoc", random_runs=1
    )  # fmt: skip
    with_audit = judge(tested.ref, preset="moderate", policy=ADVANCED.gates, book="b", audited=made.ref)
    assert gate(with_audit).verdict == "pass"
    assert "audit" in (with_audit.path / "report.html").read_text(encoding="utf-8")
    without = judge(tested.ref, preset="moderate", policy=ADVANCED.gates, book="b")
    assert gate(without).verdict == "fail"
    assert not without.manifest.summary["holds"]
    # The untrained policy is refused; a replay that asked for no promotion is not answered as if it had.
    assert "Not promoted" in (with_audit.path / "report.html").read_text(encoding="utf-8")
    assert "Not promoted" not in (without.path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(("whose", "seed"), [("scaler of the run", 7), ("scaler of the policy", 8)])
def test_a_scaler_that_has_seen_more_than_train_is_told_from_the_one_of_train(
    root: Path,
    finished: tuple[Path, Cached, Cached, Cached, Cached],
    monkeypatch: pytest.MonkeyPatch,
    whose: str,
    seed: int,
) -> None:
    """The audit's own build is honest here; what the run left behind is not."""
    other = Scaler(report_scale(finished[2]) * 1.5)
    if whose == "scaler of the run":
        monkeypatch.setattr(Scaler, "from_json", classmethod(lambda cls, text: other))
    else:
        monkeypatch.setattr("rl.checkpoint.Checkpoint.scaler", lambda checkpoint: other)
    _, dataset, built, model, _ = finished
    made = audit(dataset.ref, built.ref, model.ref, rules=ADVANCED.rules, book="b", times=TIMES, seed=seed)
    found = report(made)
    assert found.leaking == 0 and not found.holds
    assert (found.first_difference or "").startswith(f"{whose}: the scale of ")


def report_scale(built: Cached):
    return Scaler.from_json((built.path / "scaler.json").read_text(encoding="utf-8")).median


def test_the_run_page_shows_an_audit_and_the_first_difference_of_a_failed_one(
    root: Path,
    finished: tuple[Path, Cached, Cached, Cached, Cached],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown = {}
    monkeypatch.setattr("tasks.ui.markdown", lambda key, text, description: shown.update({key: text}))
    made = finished[4]
    show.audit(made)
    assert "passed" in shown["audit"] and "additional rows" in shown["audit"]
    (tmp_path / AUDIT).write_text(
        report(made).model_copy(update={"pipeline": ("a number changed",)}).model_dump_json()
    )
    show.audit(replace(made, path=tmp_path))
    assert "FAILED" in shown["audit"] and "a number changed" in shown["audit"]


def test_the_product_is_audited_with_its_own_functions() -> None:
    from rl.market.assemble import assemble
    from rl.market.build import build_days
    from rl.sim.quotes import lay_out

    ours = Pipeline()
    assert (ours.build, ours.assemble, ours.lay_out) == (build_days, assemble, lay_out)
