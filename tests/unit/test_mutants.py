"""What the mutation test puts wrong in a rule."""

from typing import Any

import promql_parser
import pytest

from tests.mutants import mutants, printed


def wrong(expr: str, yes_no: tuple[str, ...] = (), hold: str = "5m") -> dict[str, str]:
    """What is wrong with each mutant of a rule, to what it has instead."""
    rule: dict[str, Any] = {"alert": "A", "expr": expr, "for": hold, "labels": {"severity": "warning"}}
    found: dict[str, str] = {}
    for mutant in mutants(rule, 15.0, yes_no):
        changed = [key for key in rule if mutant.rule[key] != rule[key]]
        assert len(changed) == 1, "one fault each"
        found[mutant.what] = str(mutant.rule[changed[0]])
    return found


def test_the_hold_time_is_two_evaluations_off_and_the_severity_another() -> None:
    found = wrong("up")
    assert found == {"for 270s": "270s", "for 330s": "330s", "severity critical": "{'severity': 'critical'}"}


def test_a_hold_time_cannot_be_shorter_than_none() -> None:
    assert [what for what in wrong("up", hold="15s") if what.startswith("for")] == ["for 45s"]
    assert "for 0s" in wrong("up", hold="30s")


def test_each_comparison_is_turned_and_its_number_moved_by_a_tenth() -> None:
    found = wrong("a > 0.5 and on (instance) 20 <= bool b")
    assert found["< 0.5"] == "a{} < 0.5 and on (instance) 20 <= bool b{}"
    assert found["> 0.45"] == "a{} > 0.45 and on (instance) 20 <= bool b{}"
    assert found["> 0.55"] == "a{} > 0.55 and on (instance) 20 <= bool b{}"
    assert found[">= b{}"] == "a{} > 0.5 and on (instance) 20 >= bool b{}"
    assert found["18 <="] == "a{} > 0.5 and on (instance) 18 <= bool b{}"
    assert found["22 <="] == "a{} > 0.5 and on (instance) 22 <= bool b{}"


def test_two_faults_that_read_alike_are_told_apart() -> None:
    found = wrong("(a > 0) / (a > 0)")
    assert found["< 0"] == "(a{} < 0) / (a{} > 0)"
    assert found["< 0 #2"] == "(a{} > 0) / (a{} < 0)"


def test_a_tenth_of_0_is_0() -> None:
    assert [what for what in wrong("a > 0") if what.startswith(">")] == []


def test_each_side_of_or_and_and_is_dropped_and_the_right_one_of_unless() -> None:
    assert {"a{}", "b{}"} <= set(wrong("a or b").values())
    assert {"a{}", "b{}"} <= set(wrong("a and on (instance) b").values())
    assert "a{}" in wrong("a unless b").values() and "b{}" not in wrong("a unless b").values()
    assert "c{} * (a{})" in wrong("c * (a or b)").values()


def test_each_factor_that_is_no_number_is_dropped() -> None:
    found = set(wrong("a * b * 100").values())
    assert {"a{} * 100", "b{} * 100"} <= found
    assert "a{} * b{}" not in found


def test_each_matcher_is_dropped_in_a_range_too() -> None:
    found = wrong('rate(a{job="x",le=~"1(\\\\.0)?"}[5m] offset 1h)')
    assert found['a without job="x"'] == 'rate(a{le=~"1(\\\\.0)?"}[5m] offset 1h)'
    assert found['a without le=~"1(\\\\.0)?"'] == 'rate(a{job="x"}[5m] offset 1h)'


def test_all_ranges_together_are_made_longer() -> None:
    found = wrong("rate(a[5m]) / rate(b[1h])")
    assert found["looking six times as far back"] == "rate(a{}[30m]) / rate(b{}[6h])"
    assert "looking six times as far back" not in wrong("a")


def test_on_a_signal_of_0_and_1_a_threshold_between_them_cannot_matter() -> None:
    rule = {"expr": "(up\n) < 1 or (load) < 1", "for": "1m", "labels": {"severity": "critical"}}
    equivalent = {mutant.what: mutant.equivalent for mutant in mutants(rule, 15.0, ("(up)",))}
    assert {what for what, same in equivalent.items() if same} == {"< 0.9"}
    assert {"< 1.1", "< 0.9 #2", "> 1"} <= set(equivalent)


@pytest.mark.parametrize("expr", ['a{b=~"1(\\\\.0)?"} > 0', 'label_replace(a, "x", "$1", "y", "(.*)\\\\d")'])
def test_strings_are_printed_as_they_were_written(expr: str) -> None:
    assert promql_parser.parse(printed(expr)).prettify() == promql_parser.parse(expr).prettify()


def test_what_cannot_be_parsed_is_an_error() -> None:
    with pytest.raises(ValueError, match="invalid promql"):
        wrong("a > ")
