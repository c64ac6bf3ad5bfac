"""The fingerprint follows what the code means and reaches, and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
PRINT = "import sys; from tasks.fingerprint import code_fingerprint as f; print(f(*sys.argv[1:]))"

TREE = {
    "tasks/__init__.py": '"""Shells."""\n',
    "tasks/training.py": (
        '"""A shell."""\nfrom typing import TYPE_CHECKING\n'
        "from rl.train import train\nfrom tasks import helper\n"
        "if TYPE_CHECKING:\n    from rl import typed\n"
        "def run(x: int) -> int:\n    from rl.late import later\n    return later(train(x))\n"
    ),
    "tasks/helper.py": "def shown() -> str:\n    return 'shown'\n",
    "tasks/backtest.py": "from rl.train import train\nfrom tasks.report import page\n",
    "tasks/report/__init__.py": "",
    "tasks/report/page.py": "def page() -> str:\n    return 'page.html'\n",
    "tasks/report/page.html": "<h1>{{ title }}</h1>\n",
    "rl/__init__.py": "",
    "rl/train.py": (
        '"""Train."""\nfrom rl.sim import step\n'
        'def train(x: int) -> int:\n    """Train a bit."""\n    return step(x) + 1\n'
    ),
    "rl/sim/__init__.py": "from rl.sim.env import step\n",
    "rl/sim/env.py": (
        "from schemas.trading import LIMIT\n\n# a step\ndef step(x: int) -> int:\n    return min(x, LIMIT)\n"
    ),
    "rl/sim/unused.py": "def unused() -> None:\n    return None\n",
    "rl/late.py": "def later(x: int) -> int:\n    return x\n",
    "rl/typed.py": "Hint = int\n",
    "schemas/__init__.py": "",
    "schemas/trading.py": "LIMIT = 10\n",
    "schemas/venues.json": '{"fee": 1}\n',
}


@pytest.fixture
def tree(tmp_path) -> Path:
    return plant(tmp_path / "tree")


def plant(root: Path) -> Path:
    for name, text in TREE.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for name in ("fingerprint.py", "files.py"):
        shutil.copy(PROJECT / "tasks" / name, root / "tasks" / name)
    return root


@pytest.fixture(scope="module")
def before(tmp_path_factory) -> str:
    """The fingerprint of the training shell, nothing edited, in another place: that does not matter."""
    return take(plant(tmp_path_factory.mktemp("before")), "tasks.training")


def take(tree: Path, *modules: str) -> str:
    command = [sys.executable, "-c", PRINT, *modules]
    ran = subprocess.run(
        command,
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout.strip()


@pytest.fixture
def fingerprint(tree):
    return lambda *modules: take(tree, *(modules or ("tasks.training",)))


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("tasks/training.py", "train(x)", "train(x + 1)"),
        ("rl/train.py", "+ 1", "+ 2"),
        ("rl/sim/env.py", "min(", "max("),
        ("rl/sim/__init__.py", "from", "SIZE = 1\nfrom"),
        ("rl/__init__.py", "", "import math\n"),
        ("rl/late.py", "return x", "return -x"),
        ("schemas/trading.py", "10", "11"),
        ("schemas/venues.json", "1", "2"),
    ],
    ids=lambda value: value if str(value).endswith((".py", ".json")) else "",
)
def test_an_edited_helper_changes_it(tree, fingerprint, before, name, old, new):
    edit(tree / name, old, new)
    assert fingerprint() != before


def test_comments_docstrings_layout_and_strangers_do_not_change_it(tree, fingerprint, before):
    edit(tree / "rl/sim/env.py", "# a step\n", "# one step\n\n\n")
    edit(tree / "rl/train.py", '"""Train a bit."""', '"""Train a lot.\n\n    Really.\n    """')
    edit(tree / "rl/train.py", '"""Train."""', "")
    edit(tree / "tasks/training.py", '"""A shell."""', '"""The shell."""')
    edit(tree / "schemas/trading.py", "10", "(10)  # ten")
    edit(tree / "tasks/helper.py", "'shown'", "'hidden'")
    edit(tree / "rl/sim/unused.py", "None\n", "None or 1\n")
    edit(tree / "rl/typed.py", "int", "str")
    edit(tree / "tasks/report/page.html", "h1", "h2")
    (tree / "rl/new.py").write_text("x = 1\n")
    (tree / "rl/NOTES.md").write_text("notes\n")
    assert fingerprint() == before


def test_a_string_that_is_no_docstring_counts(tree, fingerprint):
    edit(tree / "rl/late.py", "return x", "name = 'x'\n    return x")
    before = fingerprint()
    edit(tree / "rl/late.py", "'x'", "'y'")
    assert fingerprint() != before


@pytest.mark.parametrize(
    ("name", "old", "new"), [("page.html", "h1", "h2"), ("page.py", "'page.html'", "'p'")]
)
def test_the_report_counts_with_its_templates(tree, fingerprint, name, old, new):
    before = fingerprint("tasks.backtest")
    edit(tree / "tasks/report" / name, old, new)
    assert fingerprint("tasks.backtest") != before


def test_it_depends_on_nothing_but_the_source_and_the_shells(fingerprint, before):
    assert fingerprint("tasks.training") == before
    assert fingerprint("tasks.backtest", "tasks.training") != before


def test_an_edit_under_a_running_process_is_noticed(tree, start, output):
    script = """
    import sys
    from pathlib import Path
    from tasks.fingerprint import code_fingerprint, edited_since
    before = code_fingerprint("tasks.training")
    path = Path("rl/late.py")
    path.write_text(path.read_text() + "# a comment\\n")
    print(edited_since("tasks.training"))
    path.write_text(path.read_text() + "x = 1\\n")
    same = code_fingerprint("tasks.training") == before
    print([Path(name).name for name in edited_since("tasks.training")], same)
    path.unlink()
    print([Path(name).name for name in edited_since("tasks.training")], edited_since("tasks.backtest"))
    """
    printed = output(start(script, path=tree)).splitlines()
    assert printed == ["[]", "['late.py'] True", "['late.py'] []"]


def test_reached_modules_are_not_imported(tree, start, output):
    edit(tree / "rl/__init__.py", "", "raise RuntimeError('imported')\n")
    edit(tree / "rl/sim/env.py", "from", "import torch_is_not_here\nfrom")
    assert len(output(start(PRINT, "tasks.training", path=tree))) == 64


def test_an_unknown_shell_is_refused(start):
    process = start(PRINT, "tasks.nothing")
    _, errors = process.communicate()
    assert process.returncode != 0
    assert "there is no module 'tasks.nothing'" in errors


def test_a_registry_that_learns_something_retrains_nothing() -> None:
    from tasks.fingerprint import _reached

    for step in ("tasks.features", "tasks.training"):  # a backtest asks the registry who else to replay
        assert not {"schemas.registry", "schemas.promotion", "schemas.bundle"} & set(_reached((step,)))
