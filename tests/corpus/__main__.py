"""`python -m tests.corpus`: write the corpus into docs/input.md."""

from tests.corpus.document import PAGE, written

PAGE.write_text(written(), encoding="utf-8")
