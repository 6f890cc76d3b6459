"""What a PromQL expression reads, and which labels its result can carry: worked out from its text alone."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from promql_parser import (
    AggModifierType,
    AggregateExpr,
    BinaryExpr,
    Call,
    Expr,
    LabelModifierType,
    MatchOp,
    MatrixSelector,
    ParenExpr,
    StringLiteral,
    SubqueryExpr,
    UnaryExpr,
    ValueType,
    VectorMatchCardinality,
    VectorSelector,
    parse,
    walk,
)

ANY: Final = frozenset({"*"})  # the labels of a series that nobody knows: no further problem is made of them
_SELECTING_AGGREGATIONS: Final = ("topk", "bottomk", "limitk", "limit_ratio")  # these aggregations choose among series

Labels = frozenset[str]
Series = Callable[[str, str], Labels | str]


@dataclass(frozen=True, kw_only=True)
class InferredLabels:
    """The labels that the result can carry (none for a scalar), and what cannot be right, a line each."""

    labels: Labels
    problems: tuple[str, ...]


def read(expr: str, series: Series) -> InferredLabels:
    """Reads an expression.

    `series` gives the labels of the series of a name in a job (empty where the selector names none), or says what is
    wrong with asking for it. Raises ValueError where the text is not PromQL.
    """
    reader = _LabelInference(series=series)
    labels = reader.read(_parsed(expr))
    return InferredLabels(labels=labels or frozenset(), problems=tuple(dict.fromkeys(reader.problems)))


def selectors(expr: str) -> set[tuple[str, str]]:
    """The names of the series that an expression reads, each with the job that it names or an empty string.

    Raises ValueError where the text is not PromQL.
    """
    found = set()

    def visit(node: Expr) -> None:
        if isinstance(node, VectorSelector):
            found.add((node.name or "", _equal(node).get("job", "")))

    walk(_parsed(expr), visit)
    return found


@lru_cache(maxsize=1024)  # rules and panels share their signals
def _parsed(expr: str) -> Expr:
    return parse(expr)


def _equal(selector: VectorSelector) -> dict[str, str]:
    return {m.name: m.value for m in selector.matchers.matchers if m.op == MatchOp.Equal}


@dataclass(kw_only=True)
class _LabelInference:
    """Goes through a syntax tree; a node's result is its labels, None for a scalar or a string."""

    series: Series
    problems: list[str] = field(default_factory=list)

    def read(self, node: Expr) -> Labels | None:
        if isinstance(node, BinaryExpr):
            return self._operation(node)
        if isinstance(node, ParenExpr | UnaryExpr | SubqueryExpr):
            return self.read(node.expr)
        if isinstance(node, AggregateExpr):
            return self._aggregation(node)
        if isinstance(node, Call):
            return self._call(node)
        if isinstance(node, MatrixSelector):
            return self._selector(node.vector_selector)
        if isinstance(node, VectorSelector):
            return self._selector(node)
        return None  # a number or a string

    def _selector(self, node: VectorSelector) -> Labels:
        name, matchers = node.name, node.matchers
        if not name:
            self.problems.append("a selector names no metric")
            return ANY
        asked = [(m.name, m.value if m.op == MatchOp.Equal else "") for m in matchers.matchers]
        there = self.series(name, dict(asked).get("job", ""))
        if isinstance(there, str):
            self.problems.append(there)
            return ANY
        self._need({label for label, _ in asked}, there, name)
        return there

    def _aggregation(self, node: AggregateExpr) -> Labels:
        inner, op = self.read(node.expr) or frozenset(), str(node.op)
        if node.modifier is None:
            kept: Labels = frozenset()
        else:
            word = "by" if node.modifier.type == AggModifierType.By else "without"
            self._need(node.modifier.labels, inner, f"what `{op} {word}` goes over")
            kept = frozenset(node.modifier.labels) if word == "by" else inner - set(node.modifier.labels)
        if op in _SELECTING_AGGREGATIONS:
            return inner
        return kept | {node.param.val} if op == "count_values" and node.param else kept

    def _operation(self, node: BinaryExpr) -> Labels | None:
        left, right, op = self.read(node.lhs), self.read(node.rhs), str(node.op)
        if left is None or right is None:
            return right if left is None else left
        matching = node.modifier.matching if node.modifier else None
        named = frozenset(matching.labels) if matching else frozenset()
        if matching and matching.type == LabelModifierType.Include:
            self._need(named, left, f"the left of `{op} on`")
            self._need(named, right, f"the right of `{op} on`")
            joined = named
        else:
            self._need(named, left | right, f"either side of `{op} ignoring`")
            joined = left - named
            if op != "or" and not (left | right) & ANY and joined != right - named:
                self.problems.append(
                    f"`{op}` finds no pair: {listed(joined)} on its left, {listed(right - named)} on its right"
                )
        if op == "or":
            return left | right
        if op in ("and", "unless"):
            return left
        card, extra = (node.modifier.card, node.modifier.group_labels or []) if node.modifier else (None, [])
        if card == VectorMatchCardinality.ManyToOne:
            self._need(extra, right, f"the right of `{op} group_left`")
            return left | set(extra)
        if card == VectorMatchCardinality.OneToMany:
            self._need(extra, left, f"the left of `{op} group_right`")
            return right | set(extra)
        return joined

    def _call(self, node: Call) -> Labels | None:
        name, given = node.func.name, [self.read(argument) for argument in node.args]
        inner = next((labels for labels in given if labels is not None), frozenset())
        texts = [argument.val for argument in node.args if isinstance(argument, StringLiteral)]
        if node.func.return_type == ValueType.Scalar:
            return None
        if name in ("absent", "absent_over_time"):
            asked = node.args[0].vector_selector if isinstance(node.args[0], MatrixSelector) else node.args[0]
            return frozenset(_equal(asked)) if isinstance(asked, VectorSelector) else frozenset()
        if name == "label_replace":
            self._need(texts[2:3] if texts[2] else (), inner, "what `label_replace` goes over")
            return inner | {texts[0]}
        if name == "label_join":
            self._need(texts[2:], inner, "what `label_join` goes over")
            return inner | {texts[0]}
        if name == "histogram_quantile":
            self._need(("le",), inner, "what `histogram_quantile` goes over")
            return inner - {"le"}
        return inner

    def _need(self, desired: Iterable[str], there: Labels, what: str) -> None:
        if not there.issuperset(desired) and not there & ANY:
            missing = sorted(set(desired) - there)
            self.problems += [f"{what} has no label {label}; it has: {listed(there)}" for label in missing]


def listed(labels: Iterable[str]) -> str:
    """Labels for a message."""
    return ", ".join(sorted(labels)) or "no labels"
