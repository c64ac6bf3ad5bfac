"""The command line, in this process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class Answer:
    """What a command did."""

    code: int
    out: str
    err: str


@pytest.fixture
def carryflow(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Type a command; signals and logging stay as the tests have them."""
    from flows.cli import main as cli
    from flows.cli import terminal

    monkeypatch.setattr(cli, "watch_signals", lambda: None)
    monkeypatch.setattr(terminal, "show_logs", lambda progress: None)

    def type_in(*words: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["carryflow", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        code = ended.value.code
        return Answer(code if isinstance(code, int) else int(code is not None), said.out, said.err)

    return type_in
