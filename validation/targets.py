"""The cross-checks of what is scraped. Each says in its docstring what must hold, and gives a line per problem."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from rules.model import ScrapeJob
from stacks.messages import format_key
from stacks.settings import DEMO_SERVERS, ScrapeTarget, Settings

DEMO_NEEDS: Final = ("postgres", "redis")  # the servers that the demo's API cannot do without


def problems(settings: Settings, targets: Mapping[str, Iterable[ScrapeTarget]], jobs: Iterable[ScrapeJob]) -> list[str]:
    """What is wrong with one environment's servers and targets; `targets` are all of them, by job."""
    jobs = tuple(jobs)
    return [
        *_unknown_jobs(settings, jobs),
        *_duplicate_servers(settings),
        *_duplicate_instances(settings, targets),
        *_container_collisions(settings),
        *_demo_requires_exporters(settings),
    ]


def secret_collisions(settings: Settings, others: Iterable[str]) -> Iterator[str]:
    """Each server has a secret of its own, named after its instance, or a new password for one would break another.
    `others` are the stack's secrets that are not about servers.
    """
    seen = dict.fromkeys(others, "the stack's own")
    for server in settings.exporters.servers():
        if server.secret is None:
            continue
        owner = f"that of exporters.{server.service}"
        if seen.setdefault(server.secret, owner) != owner:  # two of one kind: see _duplicate_servers
            yield (
                f"exporters.{server.service}: the secret of the instance {server.instance} would be {server.secret}, "
                f"which is {seen[server.secret]}; choose another instance"
            )


def _unknown_jobs(settings: Settings, jobs: Iterable[ScrapeJob]) -> Iterator[str]:
    """Every job that the settings give targets to must exist."""
    known = {job.name for job in jobs}
    for name in sorted(set(settings.scrape_targets) - known):
        yield f"scrape_targets.{format_key(name)}: no such job; expected one of: {', '.join(sorted(known))}"


def _duplicate_servers(settings: Settings) -> Iterator[str]:
    """Two servers of one kind must not share an instance: it names the container, the secret and the series."""
    for service, servers in settings.exporters:
        for name in _duplicates(server.instance for server in servers):
            yield f"exporters.{service}: the instance {name} is there twice; give each server one of its own"


def _duplicate_instances(settings: Settings, targets: Mapping[str, Iterable[ScrapeTarget]]) -> Iterator[str]:
    """Two targets of one job must not share an instance: their series would overwrite each other."""
    for job, given in settings.scrape_targets.items():
        names = {target.instance for target in given}
        for name in _duplicates(target.instance for target in targets.get(job, ())):
            if name in names:
                yield f"scrape_targets.{job}: the instance {name} is there twice"


def _container_collisions(settings: Settings) -> Iterator[str]:
    """A container `<name>-secrets` brings an exporter its password; no other exporter may have that name."""
    servers = settings.exporters.servers()
    stagers = {f"{server.container}-secrets": server for server in servers if server.secret}
    for server in servers:
        if taken := stagers.get(server.container):
            yield (
                f"exporters.{server.service}: the container {server.container} of the instance {server.instance} would "
                f"have the name of the one that brings {taken.instance} its password; choose another instance"
            )


def _demo_requires_exporters(settings: Settings) -> Iterator[str]:
    """The demo runs the servers that the exporters ask, and its API cannot do without some."""
    for service in DEMO_NEEDS if settings.demo else ():
        if service not in settings.demo_servers:
            address = DEMO_SERVERS[service]
            yield f"exporters.{service}: the demo needs an entry with its own server's address; write {address}"


def _duplicates(names: Iterable[str]) -> list[str]:
    seen = list(names)
    return sorted({name for name in seen if seen.count(name) > 1})
