"""The parameters of the flows are a contract: flat scalars, one nested model, a form without unions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FLAT = {
    "data": "string",
    "history": "string",
    "book": "string",
    "preset": "string",
    "seed": "integer",
    "seeds": "integer",
    "num_episodes": "integer",
    "time_budget": "number",
    "runner": "string",
    "workers": "integer",
    "dry_run": "boolean",
    "max_data_age_hours": "number",
}


@pytest.fixture(scope="module")
def schemas() -> dict[str, dict[str, Any]]:
    from flows.backtest import backtest
    from flows.certify import certify
    from flows.data_to_model import data_to_model
    from flows.gc import gc
    from flows.paper_trade import paper_trade
    from flows.promote import promote
    from flows.sweep import sweep
    from flows.train import train
    from flows.walk_forward import walk_forward

    every = (data_to_model, train, backtest, certify, walk_forward, sweep, gc, paper_trade, promote)
    return {flow.name: flow.parameters.model_dump() for flow in every}


def test_data_to_model_takes_the_flat_scalars_and_one_model(schemas: dict[str, dict[str, Any]]) -> None:
    properties = schemas["data-to-model"]["properties"]
    assert {name: kept.get("type") for name, kept in properties.items() if name != "advanced"} == FLAT
    assert set(properties) == {*FLAT, "advanced"}
    assert schemas["data-to-model"]["required"] == ["data"]


def test_no_form_has_a_union_and_every_field_is_described(schemas: dict[str, dict[str, Any]]) -> None:
    for name, schema in schemas.items():
        text = json.dumps(schema)
        assert "anyOf" not in text, name
        assert "oneOf" not in text, name
        models = [schema, *schema.get("definitions", {}).values()]
        for model in models:
            for field, kept in model.get("properties", {}).items():
                assert kept.get("description"), f"{name}: {field} is not described"


def test_the_default_number_of_episodes_is_the_recipes(schemas: dict[str, dict[str, Any]]) -> None:
    from schemas.training import TrainingConfig

    recipe = TrainingConfig().num_episodes
    for name in ("data-to-model", "train"):
        assert schemas[name]["properties"]["num_episodes"]["default"] == recipe
    assert schemas["certify"]["properties"]["num_episodes"]["default"] == 0, "each market's own"


def test_the_defaults_of_a_walk_forward_are_those_of_its_plan(schemas: dict[str, dict[str, Any]]) -> None:
    from schemas.walk_forward import SCHEMES, FoldPlan

    properties = schemas["walk-forward"]["properties"]
    plan = FoldPlan()
    assert [properties[name]["default"] for name in ("folds", "scheme", "held_out", "validation")] == [
        plan.n_folds,
        plan.scheme,
        plan.held_out_share,
        plan.validation_share,
    ]
    assert properties["scheme"]["enum"] == list(SCHEMES)
    assert schemas["walk-forward"]["required"] == ["data"]


def test_deployments_fit_the_flows(schemas: dict[str, dict[str, Any]]) -> None:
    file = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))
    assert "pull" not in file  # Prefect fills in the absolute folder; a relative one crashes in the worker
    deployments = {deployment["name"]: deployment for deployment in file["deployments"]}
    flows = {"retrain": "data-to-model"} | {
        name: name
        for name in ("backtest", "certify", "gc", "paper-trade", "promote", "sweep", "walk-forward")
    }
    assert set(deployments) == set(flows)
    for name, flow in flows.items():
        path, _, _ = deployments[name]["entrypoint"].partition(":")
        assert (ROOT / path).is_file()
        assert set(deployments[name]["parameters"]) <= set(schemas[flow]["properties"])
        assert deployments[name]["work_pool"]["name"] == "carryflow"
    scheduled = {name: d["schedules"] for name, d in deployments.items() if "schedules" in d}
    assert set(scheduled) == {"retrain", "paper-trade", "gc"}
    for name, schedules in scheduled.items():
        [schedule] = schedules
        assert schedule["active"] is False, f"{name} begins when somebody has said what data it is of"
        assert schedule["timezone"] and len(schedule["cron"].split()) == 5


def test_no_flow_keeps_results(schemas: dict[str, dict[str, Any]]) -> None:
    from flows import steps
    from flows.certify import certify
    from flows.data_to_model import data_to_model
    from flows.paper_trade import paper_trade
    from flows.promote import promote
    from flows.sweep import sweep
    from flows.walk_forward import walk_forward

    assert sweep.persist_result is False
    assert paper_trade.persist_result is False
    assert data_to_model.persist_result is False
    assert promote.persist_result is False
    assert certify.persist_result is False
    assert walk_forward.persist_result is False
    for task in (
        steps.INGEST, steps.FEATURES, steps.TRAIN, steps.BACKTEST, steps.JUDGE, steps.PROMOTE, steps.CERTIFY,
        steps.FOLD, steps.JOIN_FOLDS, steps.PAPER, steps.TRIAL, steps.CONCLUDE,
    ):  # fmt: skip
        assert task.persist_result is False


def test_the_markets_of_a_certification_are_those_of_the_command_the_bars_and_the_generator() -> None:
    from flows.certify import Wanted
    from flows.cli.certify import KnownMarket
    from rl.market.known import MARKETS
    from schemas.certify import BARS, MarketName

    names = list(get_args(MarketName))
    assert set(names) <= set(MARKETS)
    assert list(get_args(Wanted)) == ["all", *names]
    assert [kind.value.replace("-", " ") for kind in KnownMarket] == names
    assert list(dict.fromkeys(bar.market for bar in BARS)) == names
