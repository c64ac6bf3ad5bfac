"""Which formats of what lies on the disk this program writes and reads, and the words for any other.

Raise `SCHEMA_VERSION` where a table's columns, or a JSON file inside an artifact, can no longer be read by
the program before; keep the old number in `READABLE_SCHEMAS` for as long as it can be read here.
"""

from __future__ import annotations

from typing import Any, Final

SCHEMA_VERSION: Final = 2
READABLE_SCHEMAS: Final = (
    1,
    2,
)  # in 1 a day of features was a folder of Parquet files, which `read_day` refuses
MANIFEST_FORMAT: Final = 2
READABLE_MANIFESTS: Final = (1, 2)  # 1 did not say which schema; it was the first
BUNDLE_FORMAT: Final = 1
READABLE_BUNDLES: Final = (1,)


def foreign(content: Any, readable: tuple[int, ...], *, field: str = "format") -> str | None:
    """Return the sentence that refuses what another version of the program wrote, or None.

    Args:
        content: What the file holds, as JSON; something without the field, or with no number in it, is
            not of another version but damaged, which is another's to say.
        readable: The numbers that can be read here.
        field: Where the number stands.
    """
    made = content.get(field) if isinstance(content, dict) else None
    if not isinstance(made, int) or isinstance(made, bool) or made in readable:
        return None
    known = " and ".join(map(str, readable))
    called = field.replace("_", " ")
    return f"was written by another version of carryflow: it has {called} {made}, this one reads {known}."
