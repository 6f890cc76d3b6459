"""The end of an update: it fails unless what the plan expects is live."""

from collections.abc import Callable, Sequence

import httpx
import pulumi

from ops import truth
from plan import Expected
from stacks.settings import Strictness


def verify(
    expected: Expected,
    access: pulumi.Output[truth.Access],
    strictness: Strictness,
    after: Sequence[pulumi.Input[object]],
    client: Callable[[], httpx.Client],
) -> pulumi.Output[str]:
    """A line that says what is live, once everything in `after` is deployed; silent in preview.

    The update fails with every problem, one a line, where the strictness says so.
    """
    judged = pulumi.Output.all(access, *after).apply(lambda seen: _judge(expected, seen[0], strictness, client))
    return pulumi.Output.unsecret(judged)  # how to log in to Grafana is secret, that all is live is not


def _judge(expected: Expected, access: truth.Access, strictness: Strictness, client: Callable[[], httpx.Client]) -> str:
    summary = (
        f"{len(expected.targets)} targets, {len(expected.rules)} rules, "
        f"{len(expected.datasources)} data sources, {len(expected.dashboards)} dashboards"
    )
    if pulumi.runtime.is_dry_run():
        return f"{summary}: live"
    with client() as http:
        found = truth.settle(expected, access, http)
    fatal = [problem for problem in found if truth.fails(strictness, problem)]
    if fatal:
        lines = "\n".join(f"  {problem}" for problem in found)
        raise pulumi.RunError(f"deployed, but not as declared ({len(found)} problems):\n{lines}")
    for problem in found:
        pulumi.log.warn(f"deployed, not verified: {problem}")
    return f"{summary}: deployed, not verified ({len(found)} problems)" if found else f"{summary}: live"
