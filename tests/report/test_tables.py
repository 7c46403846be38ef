"""Tables for plots, read back."""

from __future__ import annotations

import pytest

from seedbed.errors import ArtifactError
from seedbed.report.tables import Table


def test_columns_are_read() -> None:
    table = Table.parse('step,"a, b"\n1,0.5\n2,nan\n', file="x.csv")
    assert table.texts("step") == ["1", "2"]
    assert table.numbers("a, b")[0] == 0.5


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "no table"),
        ('a,b\n"1,2\n', "no table"),
        ("a,b\n1\n", "a row of 1 cells below 2 columns"),
        ("a,b\n1,x\n", "in the column 'b' what is no number: could not convert string to float: 'x'"),
        ("a\n1\n", "no column 'b'"),
    ],
)
def test_what_is_damaged_is_said(text: str, found: str) -> None:
    with pytest.raises(ArtifactError) as error:
        Table.parse(text, file="x.csv").numbers("b")
    assert str(error.value).startswith(f"x.csv: found {found}")
    assert str(error.value).endswith("expected a table as the stage wrote it; run `dvc repro` again")
