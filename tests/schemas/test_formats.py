"""What another version of the program wrote is told from what is damaged, and the schema has a number."""

from __future__ import annotations

import hashlib
import json

import pytest

from schemas.columns import COLUMNS
from schemas.formats import READABLE_SCHEMAS, SCHEMA_VERSION, foreign
from schemas.manifest import Manifest

# What a clean table is, by the version of the schema. A change of the columns is a new version: write it down
# here and raise SCHEMA_VERSION, so that an artifact says which columns to expect of it.
TABLES = {1: "08fd2c3306dec6d3", 2: "08fd2c3306dec6d3"}  # 2: a day of features is one file


def test_a_schema_of_other_columns_has_another_version() -> None:
    columns = {
        table: [[c.name, c.kind, c.unit, c.required, c.nullable] for c in columns]
        for table, columns in COLUMNS.items()
    }
    assert hashlib.sha256(json.dumps(columns).encode()).hexdigest()[:16] == TABLES[SCHEMA_VERSION]
    assert max(READABLE_SCHEMAS) == SCHEMA_VERSION == max(TABLES)


@pytest.mark.parametrize(
    "content", [{}, {"format": 2}, {"format": "9"}, {"format": None}, {"format": True}, [], 7]
)
def test_what_is_known_or_no_number_is_not_of_another_version(content: object) -> None:
    assert foreign(content, (1, 2)) is None


@pytest.mark.parametrize("made", [0, 3, 99])
def test_another_number_is_refused_with_both(made: int) -> None:
    said = foreign({"schema_version": made}, (1, 2), field="schema_version")
    assert said == (
        f"was written by another version of carryflow: it has schema version {made}, this one reads 1 and 2."
    )


def test_a_manifest_of_the_first_format_has_the_first_schema_and_a_new_one_todays() -> None:
    known = {
        "step": "a",
        "key": "0" * 16,
        "inputs": {},
        "params": {},
        "versions": {},
        "code": "",
        "created": "",
    }
    assert Manifest(**known).schema_version == SCHEMA_VERSION
    old = Manifest(**known, format=1)
    assert old.schema_version == 1 and "schema_version" in old.model_fields_set, "whatever today's is"
    assert "schema_version" in Manifest(**known).model_dump()
