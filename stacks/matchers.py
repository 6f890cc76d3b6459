"""Alertmanager's matchers: which alerts a route, an inhibit rule, a maintenance window or a silence is about."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import re2

from stacks.messages import format_value

# A label's value, or None if the label is known to exist but its value is not: a disk's device, a database's name.
LabelSet = Mapping[str, str | None]
_MATCHER_RE: Final = re.compile(r"\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*(.*?)\s*", flags=re.DOTALL)
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"', flags=re.DOTALL)
# Alertmanager is written in Go, whose regular expressions are RE2's and know no lookahead.
_RE2: Final = re2.Options()
_RE2.log_errors = False  # the message is ours
_ESCAPES: Final = {"n": "\n", '"': '"', "\\": "\\"}


@dataclass(frozen=True)
class Matcher:
    """One condition on one label; `operator` is =, !=, =~ or !~. A label that is not there counts as empty."""

    label: str
    operator: str
    value: str

    @property
    def is_regex(self) -> bool:
        return self.operator in ("=~", "!~")

    @property
    def is_equal(self) -> bool:
        return self.operator in ("=", "=~")

    def __str__(self) -> str:
        escaped = self.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'{self.label}{self.operator}"{escaped}"'

    def matches(self, labels: LabelSet) -> bool:
        """Whether an alert with these labels may match; certain if the label's value is known."""
        value = labels.get(self.label, "")
        if value is None:
            # Any value but none at all.
            return str(self) not in (f'{self.label}=""', f'{self.label}!~".+"', f'{self.label}=~""')
        met = re2.fullmatch(self.value, value, _RE2) is not None if self.is_regex else value == self.value
        return met is self.is_equal


def all_match(matchers: Iterable[Matcher], labels: LabelSet) -> bool:
    return all(matcher.matches(labels) for matcher in matchers)


def require_selective_matchers(matchers: Iterable[Matcher]) -> None:
    """ValueError if all match an alert without any label: `service!=redis` matches nearly everything, and with a slip
    in the label's name it matches everything.
    """
    if all(one.matches({}) for one in matchers):
        about = ", ".join(map(str, matchers))
        raise ValueError(f"{about} would silence alerts that lack the label; add one with a value")


def parse_matcher(text: str) -> Matcher:
    """A matcher as Alertmanager writes it: `service="postgres"`, `alertname=~Slow.*`; quotes may be left out.

    Raises ValueError if it is invalid.
    """
    form = _MATCHER_RE.fullmatch(text)
    if form is None:
        raise ValueError(
            f'{format_value(text)} is not a matcher; write a label, =, !=, =~ or !~, and a value: service="redis"'
        )
    label, operator, value = form.groups()
    quoted = _QUOTED.fullmatch(value)
    if quoted:
        value = re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[0]), quoted[1], flags=re.DOTALL)
    elif re.search(r'[\s"{},]', value):
        raise ValueError(f'{format_value(text)} is not a matcher; put the value into quotes: {label}{operator}"..."')
    if operator in ("=~", "!~"):
        try:
            re2.compile(value, _RE2)
        except UnicodeEncodeError:
            raise ValueError(f"{format_value(text)}: the regular expression is no UTF-8 text") from None
        except re2.error as error:
            raise ValueError(
                f"{format_value(text)}: the regular expression is wrong: {error.args[0].decode()}"
            ) from None
    return Matcher(label, operator, value)
