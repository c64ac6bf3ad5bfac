"""What is installed only where it was asked for; looked at without importing it."""

from __future__ import annotations

from importlib.util import find_spec

from schemas.errors import ConfigError
from schemas.extras import how_to_install
from schemas.params import RunnerName


def refuse_runner(runner: RunnerName) -> None:
    """Refuse a runner that is not installed.

    Raises:
        ConfigError: It says what to install.
    """
    if runner == "ray" and not all(find_spec(name) for name in ("ray", "prefect_ray")):
        raise ConfigError("Ray is not installed.", "--runner ray", how_to_install("ray"))
