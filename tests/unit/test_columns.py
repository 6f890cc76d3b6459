"""Rows for a terminal."""

from ops.columns import aligned
from rules import ALERTS


def test_no_text_runs_into_the_next_column() -> None:
    rows = [(alert.severity.value, alert.name, alert.for_, alert.description) for alert in ALERTS]
    lines = aligned(rows).splitlines()
    starts = {line.index(f"  {alert.for_} ") for line, alert in zip(lines, ALERTS, strict=True)}
    assert len(starts) == 1, "the third column begins at different places"
    assert [line.split("  ", 1)[0] for line in lines] == [row[0] for row in rows]


def test_without_rows_there_is_no_line() -> None:
    assert aligned([]) == ""
