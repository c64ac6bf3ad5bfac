"""Ask the advisory service about every pinned package; `pip-audit --strict`, and what its answer means.

Exit code 1 where a package has a known vulnerability, or could not be looked up while others could. Where
none could (no network to the service) nothing is known: that is said loudly and is no pass.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

CONSTRAINTS = Path(__file__).resolve().parents[1] / "constraints.txt"
COMMAND = [sys.executable, "-m", "pip_audit", "-r", str(CONSTRAINTS), "--no-deps", "--disable-pip"]


def verdict(packages: list[dict[str, Any]]) -> tuple[int, str]:
    """Return the exit code and what to say.

    Args:
        packages: The `dependencies` of pip-audit's JSON: each has `vulns`, or a `skip_reason`.
    """
    skipped = [one["name"] for one in packages if "skip_reason" in one]
    bad = [
        f"{one['name']} {one['version']}: {', '.join(found['id'] for found in one['vulns'])}"
        for one in packages
        if one.get("vulns")
    ]
    if bad:
        return 1, "VULNERABLE: " + "; ".join(bad)
    if not packages or len(skipped) == len(packages):
        line = "!" * 78
        return 0, (
            f"{line}\nSKIPPED: pip-audit could not look up a single one of {len(packages)} packages: no way "
            f"to the advisory service.\nNothing is known about vulnerabilities. This is not a pass.\n{line}"
        )
    if skipped:
        return 1, f"NOT AUDITED, though others were: {', '.join(skipped)}"
    return 0, f"pip-audit: {len(packages)} packages, no known vulnerability."


def main() -> int:
    """Audit, and say what came of it."""
    strict = subprocess.run([*COMMAND, "--strict"], capture_output=True, text=True)
    if strict.returncode == 0:
        print(strict.stderr.strip() or "pip-audit: no known vulnerability.")
        return 0
    told = subprocess.run([*COMMAND, "-f", "json"], capture_output=True, text=True)
    try:
        packages = json.loads(told.stdout)["dependencies"]
    except (ValueError, KeyError):
        if "onnection" not in told.stderr and "timed out" not in told.stderr:
            print(told.stderr)
            return 1
        packages = []
    code, text = verdict(packages)
    print(text)
    return code


if __name__ == "__main__":
    sys.exit(main())
