"""Which labels the result of a PromQL expression can carry, and what is said of a label that is missing."""

import pytest

from rules.promql import ANY, Labels, read, selectors

TARGET = frozenset({"instance", "job"})
SERIES: dict[str, Labels] = {
    "a": TARGET | {"color"},
    "b": TARGET | {"size"},
    "both": TARGET | {"color", "size"},
    "plain": TARGET,
    "h_bucket": TARGET | {"le", "color"},
    "other": ANY,
}


def labels_of(name: str, job: str) -> Labels | str:
    if job == "nobody":
        return f"{name} is of no job"
    return SERIES.get(name, f"there is no {name}")


def labels(expr: str) -> set[str]:
    """The labels of an expression in which nothing is wrong."""
    result = read(expr, labels_of)
    assert result.problems == (), expr
    return set(result.labels)


def problems(expr: str) -> list[str]:
    return list(read(expr, labels_of).problems)


@pytest.mark.parametrize(
    ("expr", "kept"),
    [
        ("a", {"instance", "job", "color"}),
        ("-a", {"instance", "job", "color"}),
        ("1", set()),
        ("rate(a[5m])", {"instance", "job", "color"}),
        ("max_over_time(sum by (color) (a)[1h:1m])", {"color"}),
        # aggregations
        ("sum(a)", set()),
        ("sum by (color) (a)", {"color"}),
        ("sum by () (a)", set()),
        ("sum without (color) (a)", {"instance", "job"}),
        ("sum without () (a)", {"instance", "job", "color"}),
        ("topk(3, a)", {"instance", "job", "color"}),
        ("topk by (job) (3, a)", {"instance", "job", "color"}),
        ("quantile by (job) (0.9, a)", {"job"}),
        ('count_values("version", a)', {"version"}),
        ('count_values by (job) ("version", a)', {"job", "version"}),
        # operators
        ("a > 5", {"instance", "job", "color"}),
        ("5 < a", {"instance", "job", "color"}),
        ("a / a", {"instance", "job", "color"}),
        ("a / on (job) b", {"job"}),
        ("a / ignoring (color) plain", {"instance", "job"}),
        ("plain / ignoring (color) a", {"instance", "job"}),
        ("a / ignoring (color, size) b", {"instance", "job"}),
        ("a * on (instance, job) group_left plain", {"instance", "job", "color"}),
        ("a * on (instance, job) group_left (size) b", {"instance", "job", "color", "size"}),
        ("a * on (instance, job) group_right (color) b", {"instance", "job", "color", "size"}),
        ("plain * on (instance, job) group_right b", {"instance", "job", "size"}),
        ("a and on (job) b", {"instance", "job", "color"}),
        ("a unless on (job) b", {"instance", "job", "color"}),
        ("a or b", {"instance", "job", "color", "size"}),
        ("a or on (job) b", {"instance", "job", "color", "size"}),
        # functions
        ("vector(1)", set()),
        ("scalar(a)", set()),
        ("absent(a)", set()),
        ('absent(a{job="x",color=~"r.*"})', {"job"}),
        ('absent_over_time(a{job="x"}[5m])', {"job"}),
        ("absent(sum(a))", set()),
        ('label_replace(plain, "host", "$1", "instance", "(.*):.*")', {"instance", "job", "host"}),
        ('label_replace(plain, "fixed", "x", "", "")', {"instance", "job", "fixed"}),
        ('label_join(a, "both", "-", "job", "color")', {"instance", "job", "color", "both"}),
        ("histogram_quantile(0.9, rate(h_bucket[5m]))", {"instance", "job", "color"}),
        ("histogram_quantile(0.9, sum by (le, job) (rate(h_bucket[5m])))", {"job"}),
        # what nobody knows
        ("sum by (anything) (other)", {"anything"}),
        ("sum without (anything) (other)", {"*"}),
        ("other / a", {"*"}),
    ],
)
def test_the_labels_of_a_result(expr: str, kept: set[str]) -> None:
    assert labels(expr) == kept


@pytest.mark.parametrize(
    ("expr", "problem"),
    [
        ("sum by (size) (a)", "what `sum by` goes over has no label size; it has: color, instance, job"),
        ("sum without (size) (a)", "what `sum without` goes over has no label size; it has: color, instance, job"),
        ("sum by (a) (sum(a))", "what `sum by` goes over has no label a; it has: no labels"),
        ('a{size="1"}', "a has no label size; it has: color, instance, job"),
        ('{job="x"}', "a selector names no metric"),
        ("nothing", "there is no nothing"),
        ('a{job="nobody"}', "a is of no job"),
        ("a / on (size) b", "the left of `/ on` has no label size; it has: color, instance, job"),
        ("b / on (size) a", "the right of `/ on` has no label size; it has: color, instance, job"),
        ("a / ignoring (x) a", "either side of `/ ignoring` has no label x; it has: color, instance, job"),
        ("a / b", "`/` finds no pair: color, instance, job on its left, instance, job, size on its right"),
        ("a and b", "`and` finds no pair: color, instance, job on its left, instance, job, size on its right"),
        (
            "both / ignoring (color) a",
            "`/` finds no pair: instance, job, size on its left, instance, job on its right",
        ),
        (
            "a * on (job) group_left (x) b",
            "the right of `* group_left` has no label x; it has: instance, job, size",
        ),
        (
            "a * on (job) group_right (x) b",
            "the left of `* group_right` has no label x; it has: color, instance, job",
        ),
        (
            'label_replace(plain, "x", "$1", "color", "(.*)")',
            "what `label_replace` goes over has no label color; it has: instance, job",
        ),
        (
            'label_join(plain, "x", "-", "job", "color")',
            "what `label_join` goes over has no label color; it has: instance, job",
        ),
        (
            "histogram_quantile(0.9, a)",
            "what `histogram_quantile` goes over has no label le; it has: color, instance, job",
        ),
    ],
)
def test_what_cannot_be_right_is_said_once(expr: str, problem: str) -> None:
    assert problems(expr) == [problem]
    assert problems(f"({expr}) + 1") == [problem]


def test_a_label_that_was_asked_for_counts_as_kept_so_that_it_is_not_said_again() -> None:
    """`by` keeps what it names, also a label that the inner vector lacks: one mistake is one message."""
    assert read("sum by (job, size) (a)", labels_of).labels == {"job", "size"}
    assert problems("max by (size) (sum by (job, size) (a))") == [
        "what `sum by` goes over has no label size; it has: color, instance, job"
    ]


@pytest.mark.parametrize("matcher", ['job=~"nobody"', 'job!="nobody"', 'color="nobody"'])
def test_only_a_matcher_that_names_the_job_says_which_job_it_is(matcher: str) -> None:
    assert problems(f"a{{{matcher}}}") == []


def test_the_series_of_an_expression_come_with_the_job_that_they_name() -> None:
    expr = 'sum(rate(a{job="x"}[5m])) / on () (max_over_time(b[1h]) or {job="y"}) > scalar(plain{job=~"z"})'
    assert selectors(expr) == {("a", "x"), ("b", ""), ("", "y"), ("plain", "")}


def test_what_is_not_promql_raises() -> None:
    with pytest.raises(ValueError, match="unclosed left parenthesis"):
        read("sum(", labels_of)
