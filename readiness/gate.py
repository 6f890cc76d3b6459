"""The end of an update: it fails unless what is desired is deployed and ready."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict

import httpx
import pulumi

from desired_state import DesiredState
from readiness import checks
from rules.render import digest


def readiness_gate(
    desired: DesiredState,
    endpoints: pulumi.Output[checks.Endpoints],
    after: Sequence[pulumi.Input[object]],
    client: Callable[[], httpx.Client],
) -> pulumi.Output[str]:
    """A line that says what is ready, once everything in `after` is deployed; a preview does not check.

    The update fails with all problems, one a line, if `verification` in the settings says so. An update with --target
    that leaves out part of the desired state is not judged, because what runs cannot be what is desired. One with
    --exclude is judged.
    """
    declared = _digest(desired)

    async def once_deployed() -> str:
        await pulumi.Output.all(*after).future()
        return declared

    # Pulumi does not tell a program about --target. For a resource that --target leaves out, it answers with the
    # previous state: for this one, with the hash that was last deployed in full. An awaitable, unlike an output, makes
    # it depend on nothing, so that --target-dependents leaves it out too.
    whole = pulumi.Stash("plan", input=once_deployed())
    judged = pulumi.Output.all(endpoints, whole.input, *after).apply(
        lambda seen: _judge(desired, seen[0], seen[1] == declared, client)
    )
    return pulumi.Output.unsecret(judged)  # how to log in to Grafana is secret, that all is live is not


def _digest(desired: DesiredState) -> str:
    """A hash of all that the settings and the model ask for."""
    settings = desired.settings
    images = {key: settings.images.reference(key) for key in sorted(desired.images)}
    sources = [asdict(source) for source in desired.datasources]
    files = [desired.prometheus.files, desired.alertmanager.files, desired.dashboards]
    parts = [settings.model_dump(mode="json"), images, sources, *(dict(each) for each in files)]
    return digest({"plan": json.dumps(parts, sort_keys=True)})


def _judge(desired: DesiredState, endpoints: checks.Endpoints, whole: bool, client: Callable[[], httpx.Client]) -> str:
    expected, strictness = desired.expected, desired.settings.verification
    summary = (
        f"{len(expected.targets)} targets, {len(expected.rules)} rules, "
        f"{len(expected.datasources)} data sources, {len(expected.dashboards)} dashboards"
    )
    if pulumi.runtime.is_dry_run():
        return f"{summary}: live"
    if not whole:
        pulumi.log.warn("deployed in part, not verified: --target left something out; `pulumi up` without it does both")
        return f"{summary}: deployed in part, not verified"
    with client() as http:
        found = checks.wait_until_ready(expected, endpoints, http)
    fatal = [problem for problem in found if checks.is_blocking(strictness, problem)]
    if fatal:
        lines = "\n".join(f"  {problem}" for problem in found)
        raise pulumi.RunError(f"deployed, but not as declared ({len(found)} problems):\n{lines}")
    for problem in found:
        pulumi.log.warn(f"deployed, not verified: {problem}")
    return f"{summary}: deployed, not verified ({len(found)} problems)" if found else f"{summary}: live"
