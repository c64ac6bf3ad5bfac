"""Settings are in place before the libraries that read them, and Prefect's result store stays off."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from flows import settings


def test_importing_the_package_applies_the_settings_before_prefect_and_torch_are_imported() -> None:
    code = (
        "import os, sys, json\nimport flows\n"
        "print(json.dumps([dict(os.environ), sorted({'prefect', 'torch'} & set(sys.modules))]))"
    )
    clean = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=clean)
    environment, imported = json.loads(done.stdout)
    assert not imported
    assert environment["GOMP_SPINCOUNT"] == "1000"
    assert environment["PREFECT_RESULTS_PERSIST_BY_DEFAULT"] == "false"
    assert environment["PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"] == "120"


def test_what_a_person_has_set_stays_except_for_result_persistence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_SERVER_LOGGING_LEVEL", "INFO")
    monkeypatch.setenv("PREFECT_RESULTS_PERSIST_BY_DEFAULT", "true")
    settings.apply()

    assert os.environ["PREFECT_SERVER_LOGGING_LEVEL"] == "INFO"
    assert os.environ["PREFECT_RESULTS_PERSIST_BY_DEFAULT"] == "false"


def test_prefect_reads_them_as_meant() -> None:
    code = (
        "from flows import settings\nsettings.apply_script()\n"
        "from prefect.settings import get_current_settings\ns = get_current_settings()\n"
        "assert s.results.persist_by_default is False\n"
        "assert s.tasks.default_persist_result is False\n"
        "assert s.server.ephemeral.startup_timeout_seconds == 120\n"
        "assert s.server.analytics_enabled is False\n"
        "assert s.logging.extra_loggers == ['carryflow']\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
