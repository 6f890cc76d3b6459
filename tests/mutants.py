"""The ways in which an alerting rule can be put wrong, one at a time, as the mutation test wants them."""

import operator
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

from promql_parser import (
    BinaryExpr,
    Expr,
    MatrixSelector,
    NumberLiteral,
    VectorSelector,
    display_duration,
    parse,
    transform,
    walk,
)

from rules.model import Severity
from stacks.types import seconds

TURNED: Final = {">": "<", "<": ">", ">=": "<=", "<=": ">=", "==": "!=", "!=": "=="}
HOLDS: Final = {
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """A rule with one fault; `what` says which, and is the only one of its rule that says so.

    `equivalent` where the fault cannot make a difference: the signal is 0 or 1, and both are on the same side of the
    threshold as before.
    """

    what: str
    rule: Mapping[str, Any]
    equivalent: bool = False


def mutants(rule: Mapping[str, Any], interval: float, yes_no: Collection[str] = ()) -> tuple[Mutant, ...]:
    """The mutants of a rule (an entry of a rule file) that is evaluated every `interval` seconds.

    `yes_no` are the expressions, as they stand in the rule, whose values are 0 or 1.
    Raises ValueError for an expression that cannot be parsed.
    """
    found: list[Mutant] = []
    for what, change, equivalent in (*_held(rule, interval), *_urgent(rule), *_put_wrong(rule["expr"], yes_no)):
        same = sum(mutant.what.partition(" #")[0] == what for mutant in found)
        found.append(
            Mutant(what=f"{what} #{same + 1}" if same else what, rule={**rule, **change}, equivalent=equivalent)
        )
    return tuple(found)


def printed(expr: str) -> str:
    """The expression as the mutants' expressions are printed, with nothing changed."""
    return str(_read(expr))


def metrics(expr: str) -> set[str]:
    """The names of the series that an expression reads."""
    nodes: list[Expr] = []
    walk(_read(expr), nodes.append)
    return {node.name for node in nodes if isinstance(node, VectorSelector) and node.name}


Change = tuple[str, dict[str, Any], bool]  # what is wrong, what it replaces in the rule, and whether it cannot matter


def _held(rule: Mapping[str, Any], interval: float) -> Iterator[Change]:
    hold = seconds(rule["for"])
    for wrong in (hold - 2 * interval, hold + 2 * interval):
        if wrong >= 0:
            yield f"for {wrong:.0f}s", {"for": f"{wrong:.0f}s"}, False


def _urgent(rule: Mapping[str, Any]) -> Iterator[Change]:
    labels = rule["labels"]
    wrong = next(severity.value for severity in Severity if severity.value != labels["severity"])
    yield f"severity {wrong}", {"labels": {**labels, "severity": wrong}}, False


def _put_wrong(expr: str, yes_no: Collection[str]) -> Iterator[Change]:
    tree = _read(expr)
    known = {printed(text) for text in yes_no}
    nodes: list[Expr] = []
    walk(tree, nodes.append)
    for place, node in enumerate(nodes):
        for what, wrong, equivalent in _faults(node, known):
            yield what, {"expr": str(_with(tree, place, _read(wrong)))}, equivalent
    if any(isinstance(node, MatrixSelector) for node in nodes):
        yield "looking six times as far back", {"expr": str(transform(tree, None, _farther))}, False


def _faults(node: Expr, yes_no: Collection[str]) -> Iterator[tuple[str, str, bool]]:
    """What can be wrong with one node, as PromQL in the node's place, and whether it cannot matter."""
    if isinstance(node, BinaryExpr):
        left, op, right = str(node.lhs), str(node.op), str(node.rhs)
        rest = str(node).removeprefix(f"{left} {op} ")  # `bool` or `on (...)`, if any, and the right side
        if op in TURNED:
            yield f"{TURNED[op]} {right}", f"{left} {TURNED[op]} {rest}", False
            if isinstance(node.rhs, NumberLiteral):
                for moved in _moved(node.rhs.val):
                    same = left in yes_no and all(HOLDS[op](v, node.rhs.val) is HOLDS[op](v, moved) for v in (0.0, 1.0))
                    yield f"{op} {moved:.12g}", f"{left} {op} {rest.removesuffix(right)}{moved:.12g}", same
            if isinstance(node.lhs, NumberLiteral):
                for moved in _moved(node.lhs.val):
                    yield f"{moved:.12g} {op}", f"{moved:.12g} {op} {rest}", False
        numbers = isinstance(node.lhs, NumberLiteral) or isinstance(node.rhs, NumberLiteral)
        if op in ("and", "or", "unless") or (op == "*" and not numbers):
            yield f"without `{op} {right}`", left, False
            if op != "unless":
                yield f"without `{left} {op}`", right, False
    elif isinstance(node, VectorSelector):
        matchers = [str(matcher) for matcher in node.matchers.matchers]
        for number, matcher in enumerate(matchers):
            rest = ",".join(matchers[:number] + matchers[number + 1 :])
            yield f"{node.name or ''} without {matcher}", str(node).replace(",".join(matchers), rest), False


def _moved(threshold: float) -> tuple[float, ...]:
    """The threshold, 10 % lower and higher; nothing for 0."""
    return (threshold * 0.9, threshold * 1.1) if threshold else ()


def _farther(node: Expr) -> Expr | None:
    if not isinstance(node, MatrixSelector):
        return None
    now, then = display_duration(node.range), display_duration(6 * node.range)
    return _read(str(node).replace(f"[{now}]", f"[{then}]"))


def _with(tree: Expr, place: int, wrong: Expr) -> Expr:
    """The tree with another node in that place, counted as `walk` visits them."""
    places = count()
    return transform(tree, lambda _: wrong if next(places) == place else None)


def _read(text: str) -> Expr:
    """An expression whose strings stand as they were written: the parser's printer escapes nothing."""
    return parse(text.replace("\\", "\\\\"))
