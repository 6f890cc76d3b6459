"""Faults that make the demo fail, slow down or lose its cache, to see the alerts work."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Faults:
    """The injected faults; none at the start.

    `fail_rate` is the fraction (0 to 1) of API requests answered with 500, `delay_ms` (0 to 5000) the wait before each.
    `slow_queries` makes PostgreSQL sleep 1.2 s in each query, `cache_off` makes every cached read miss.
    """

    fail_rate: float = 0.0
    delay_ms: int = 0
    slow_queries: bool = False
    cache_off: bool = False

    def changed(self, desired: Mapping[str, Any]) -> "Faults":
        """These faults with those in `desired` set; ValueError names the invalid one and what it takes."""
        known = [field.name for field in fields(self)]
        for name, value in desired.items():
            if name not in known:
                raise ValueError(f"unknown fault {str(name)[:40]!r}; expected one of: {', '.join(known)}")
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if name == "fail_rate" and not (number and 0 <= value <= 1):
                raise ValueError("fail_rate must be a number from 0 to 1")
            if name == "delay_ms" and not (number and isinstance(value, int) and 0 <= value <= 5000):
                raise ValueError("delay_ms must be a whole number from 0 to 5000")
            if name in ("slow_queries", "cache_off") and not isinstance(value, bool):
                raise ValueError(f"{name} must be true or false")
        return replace(self, **desired)


class FaultInjector:
    """Holds the faults that are injected now; threads see a change whole or not at all."""

    def __init__(self) -> None:
        self.now = Faults()
