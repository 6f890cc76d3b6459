"""`python -m ops`: the commands for people."""

import json
import os
import re
import secrets
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NoReturn

import httpx
import typer
from rich.console import Console

from clients import pulumi_cli
from clients.probes import ClientError, GrafanaAuth, client, page
from clients.pulumi_cli import PulumiCliError
from desired_state import GRAFANA_ADMIN, DesiredState, InvalidStackError, load_desired_state
from ops import health as report
from ops import recover, routes, settings_reference, test_alert, volume_policy
from ops import rotate_secret as rotation
from ops import silence as silences
from ops.capture_metrics import capture_all, capture_page
from ops.columns import aligned
from ops.pulumi_events import summarize_events
from readiness.checks import Endpoints, is_blocking
from rules import JOBS, metrics
from rules.model import Severity
from stacks.settings import Settings, SettingsError, VolumePolicy, load_settings, stacks

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
Stack = Annotated[str, typer.Option(envvar="STACK", help="Name of the stack: a file stacks/<name>.yaml.")]


@app.command()
def health(
    stack: Stack = "dev",
    as_json: Annotated[bool, typer.Option("--json", help="The same facts for a program.")] = False,
    gate: Annotated[
        bool, typer.Option("--gate", help="Fail only for what the stack's `verification` fails an update for.")
    ] = False,
    with_urls: Annotated[bool, typer.Option("--urls", help="Print what `urls` prints, too.")] = False,
) -> None:
    """Say whether all that was declared is live; exit code 1 and the causes where it is not."""
    settings, found = _report(stack)
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=2, sort_keys=True))
    else:
        Console(highlight=False, soft_wrap=True).print(found.text(), markup=False)
    fatal = found.problems if not gate else tuple(p for p in found.problems if is_blocking(settings.verification, p))
    if fatal or not (gate or found.healthy):
        raise typer.Exit(1)
    if with_urls:
        _print_urls(stack, settings)


@app.command("summarize-events")
def summarize(
    events: Annotated[Path, typer.Argument(help="What `pulumi --event-log` wrote; not there where it did not begin.")],
    stack: Stack = "dev",
) -> None:
    """Print what a preview or an update did as JSON, after a successful update with the facts of `health`."""
    facts = {"stack": stack, **summarize_events(events.read_text(encoding="utf-8") if events.exists() else "")}
    facts["health"] = _report(stack)[1].to_dict() if facts["readiness"] else None
    typer.echo(json.dumps(facts, indent=2, sort_keys=True))


@app.command()
def render(
    out: Annotated[
        Path | None,
        typer.Option(help="An empty folder, or one with an older rendering of the same files. Default: out/STACK."),
    ] = None,
    stack: Stack = "dev",
) -> None:
    """Write exactly the files that `pulumi up` would deploy. Needs neither engine nor Docker."""
    files = _plan(stack)[1].files()
    try:
        if out is None:  # this command's own folder: what an older rendering left in it goes
            out = Path("out") / stack
            if out.exists():
                shutil.rmtree(out)
        foreign = [path for path in out.rglob("*") if path.is_file() and str(path.relative_to(out)) not in files]
        if foreign:
            _fail(f"{out} holds files that are not of this rendering, e.g. {foreign[0]}; give an empty folder")
        for path, text in files.items():
            target = out / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
    except OSError as error:
        _fail(f"{error.filename} cannot be written: {error.strerror}; give another folder")
    typer.echo(f"{len(files)} files of stack {stack} in {out}")


@app.command()
def alerts(stack: Stack = "dev") -> None:
    """List the stack's alerts as its settings tune them: severity, name, hold time and what each means."""
    rows = [(alert.severity, alert.name, alert.for_, alert.description) for alert in _plan(stack)[1].alerts]
    typer.echo(aligned(rows))


@app.command("routes")
def show_routes(
    stack: Stack = "dev",
    write: Annotated[bool, typer.Option("--write", help="Write docs/routes.md, for all environments.")] = False,
) -> None:
    """Print the receivers of each alert of the stack, how soon they are notified and how often."""
    if write:
        plans = {name: _plan(name)[1] for name in stacks()}
        routes.ROUTES_MD.write_text(routes.table(plans), encoding="utf-8")
        typer.echo(f"docs/routes.md: {', '.join(plans)}")
    else:
        typer.echo(routes.text(_plan(stack)[1]))


@app.command("settings-reference")
def show_settings_reference(
    write: Annotated[
        bool, typer.Option("--write", help="Write docs/settings.md and stacks/settings.schema.json instead.")
    ] = False,
) -> None:
    """Print the reference of the settings: every key, its values, default, meaning and an example."""
    if not write:
        typer.echo(settings_reference.reference(), nl=False)
        return
    for path, text in settings_reference.files().items():
        path.write_text(text, encoding="utf-8")
        typer.echo(path.relative_to(path.parents[1]))


@app.command("test-alert")
def send_test_alert(
    stack: Stack = "dev",
    severity: Annotated[Severity, typer.Option(help="The severity of the alert.")] = Severity.CRITICAL,
) -> None:
    """Send a test alert, say what each receiver accepted; exit code 1 if one did not, or none was notified."""
    if severity is Severity.NONE:
        _fail("severity none notifies nobody; write critical or warning. The Watchdog tests the dead man's switch")
    settings, desired = _plan(stack)
    with client() as http:
        silences.check_environment(http, settings.published("alertmanager"), settings.environment)
        outcomes = test_alert.send(http, desired, severity)
    for outcome in outcomes:
        typer.echo(f"{'✓' if outcome.ok else '✗'} {outcome}")
    raise typer.Exit(0 if outcomes and all(outcome.ok for outcome in outcomes) else 1)


silence = typer.Typer(no_args_is_help=True, help="Silence alerts during unplanned work, over Alertmanager alone.")
app.add_typer(silence, name="silence")


@silence.command("add")
def add_silence(
    matchers: Annotated[list[str], typer.Argument(help="As amtool's: ApiDown, or service=redis 'instance=~prod-.*'")],
    author: Annotated[str, typer.Option(help="Who answers for it.")],
    comment: Annotated[str, typer.Option(help="Why; the next on call reads it.")],
    stack: Stack = "dev",
    duration: Annotated[str, typer.Option(help="How long from now on, such as 2h.")] = "",
    end: Annotated[str, typer.Option(help="Until when, such as 2027-01-16T22:00+01:00.")] = "",
) -> None:
    """Silence the alerts that all matchers match, until an end; print the silence's id."""
    try:
        desired, ends = silences.read_matchers(matchers), silences.parse_end(duration, end, datetime.now(UTC))
        with client() as http:
            typer.echo(silences.add(http, _alertmanager(http, stack), desired, ends, author, comment))
    except ValueError as error:
        _fail(str(error))


@silence.command("list")
def list_silences(
    stack: Stack = "dev",
    expired: Annotated[bool, typer.Option("--expired", help="Those that are over too.")] = False,
) -> None:
    """List the silences, the next to end first."""
    with client() as http:
        for found in silences.list_silences(http, _alertmanager(http, stack), expired):
            typer.echo(str(found))


@silence.command("expire")
def expire_silence(
    ids: Annotated[list[str], typer.Argument(help="As `list` shows them.")], stack: Stack = "dev"
) -> None:
    """End silences now."""
    with client() as http:
        alertmanager = _alertmanager(http, stack)
        for name in ids:
            silences.expire(http, alertmanager, name)
            typer.echo(f"{name} has ended")


@app.command("capture-metrics")
def capture_metrics(
    out: Annotated[Path, typer.Option(help="The folder of the captured metrics.")] = metrics.FOLDER,
    stack: Stack = "dev",
    source: Annotated[
        str,
        typer.Option(
            "--from", help="A metrics page, an address or a file, of --service: no running stack is needed then."
        ),
    ] = "",
    service: Annotated[str, typer.Option(help="Whose page --from is: rules/<service>.py.")] = "",
) -> None:
    """Write down what exporters expose, a file per service, for the rules to be checked against: those of the running
    stack, or the one whose page --from names.
    """
    if bool(source) != bool(service):
        _fail("--from and --service belong together: --from http://127.0.0.1:9000/metrics --service billing")
    if service:
        if not re.fullmatch("[a-z][a-z0-9_]*", service):
            _fail(f"--service: {service!r} is not the name of a file in rules/; write it without .py, such as billing")
        try:
            inventory = capture_page(_metrics_page(source), service)
        except ValueError as error:
            _fail(f"--from {source}: {error}")
        out.mkdir(parents=True, exist_ok=True)
        _write_metrics(out, service, inventory)
        return
    try:
        settings = load_settings(
            stack
        )  # not the desired state: rules whose metrics are still to be captured are invalid
    except SettingsError as error:
        _fail(str(error))
    out.mkdir(parents=True, exist_ok=True)
    with client() as http:
        found = capture_all(http, settings.published("prometheus"), settings.published("grafana"), JOBS)
    for job in JOBS:
        if job.service not in found:
            typer.echo(f"{job.service}: job {job.name} has no target that answers; its file stays as it is")
            continue
        _write_metrics(out, job.service, found[job.service])


def _metrics_page(source: str) -> str:
    """The text at an address, or in a file."""
    if re.match("https?://", source):
        with client() as http:
            return page(http, "the exporter", source)
    try:
        return Path(source).read_text(encoding="utf-8")
    except OSError as error:
        _fail(f"--from: {source} cannot be read: {error.strerror}; give an address (http://...) or a file")


def _write_metrics(out: Path, service: str, captured: metrics.MetricsInventory) -> None:
    file = out / f"{service}.json"
    known = metrics.from_text(file.read_text(encoding="utf-8")) if file.is_file() else None
    both = metrics.merge(known, captured)
    file.write_text(metrics.to_text(both), encoding="utf-8")
    new = len(both.metrics.keys() - known.metrics.keys()) if known else len(both.metrics)
    typer.echo(f"{service}: {both.exporter_version}, {len(both.metrics)} metrics, {new} new")


@app.command()
def urls(stack: Stack = "dev") -> None:
    """Print where the stack can be opened, and how to read the Grafana password where Grafana is its own."""
    _print_urls(stack, _plan(stack)[0])


def _print_urls(stack: str, settings: Settings) -> None:
    for name in dict.fromkeys((*settings.parts, "grafana")):
        typer.echo(f"{name.capitalize():13} {settings.published(name)}")
    if settings.existing_grafana:
        return
    typer.echo(
        f"Grafana's user is {GRAFANA_ADMIN}; its password: make password{'' if stack == 'dev' else f' STACK={stack}'}"
    )


@app.command("volume-policy")
def show_volume_policy(stack: Stack = "dev") -> None:
    """Print what `make down` does with the data; exit code 2 where the settings and what is deployed disagree on it."""
    settings = _plan(stack)[0]
    if volume_policy.deployed_policies(pulumi_cli.resources(stack)) - {settings.volume_policy}:
        up = f"make up{'' if stack == 'dev' else f' STACK={stack}'}"
        _fail(
            f"stacks/{stack}.yaml says volume_policy: {settings.volume_policy}, but the last update left it otherwise,"
            f" and that would count; nothing was taken down. Run `{up}` first, or write back what was there"
        )
    what = "samples, silences" + ("" if settings.existing_grafana else ", Grafana's database")
    volumes = f"the volumes {settings.name_prefix}-*-data ({what})"
    if settings.volume_policy is VolumePolicy.RETAIN:
        typer.echo(
            f"stacks/{stack}.yaml says volume_policy: retain. {volumes} stay; the next `make up` uses them again."
        )
    else:
        typer.echo(f"stacks/{stack}.yaml says volume_policy: delete. {volumes} are removed with everything else.")


@app.command("rotate-secret")
def rotate_secret(
    name: Annotated[str, typer.Argument(help="One of the stack's secrets, e.g. grafana_admin_password.")],
    stack: Stack = "dev",
    from_stdin: Annotated[
        bool, typer.Option("--from-stdin", help="Read the value, even where one could be made up.")
    ] = False,
) -> None:
    """Give one secret a new value, in the stack and at the server that keeps it, and bring the demo stack up with it.

    The value is made up where all that take it are the stack's own; else it is asked for, or read from standard input.
    """
    settings, desired = _plan(stack)
    if name not in desired.secret_names:
        _fail(f"stack {stack} has no secret {name!r}; it has: {', '.join(desired.secret_names)}")
    elsewhere = not rotation.can_be_generated(desired, name)
    if elsewhere:
        typer.echo(f"{name} belongs to a server that is not of stack {stack}: change it there, then give it", err=True)
    value = _read_secret(name) if elsewhere or from_stdin else secrets.token_urlsafe(24)
    if not value:
        _fail("the new value is empty; give it on standard input")
    old = pulumi_cli.secret(stack, name)
    pulumi_cli.run("config", "set", "--secret", name, "--stack", stack, stdin=value)
    try:
        typer.echo(rotation.apply_to_server(desired, name, value))
    except ClientError as error:
        try:
            pulumi_cli.run(
                "config", "set", "--secret", name, "--stack", stack, stdin=old
            )  # no password that nobody knows
        except PulumiCliError as second:
            _fail(f"{error}; and the old {name} could not be put back into the stack: {second}")
        _fail(f"{error}; stack {stack} keeps the old {name}")
    if not settings.demo:
        typer.echo(f"the stack has a new {name}; now: make up STACK={stack}")
        return
    typer.echo(f"the stack has a new {name}; bringing it up")
    raise typer.Exit(_up(stack))


@app.command("recover")
def recover_stack(stack: Stack = "dev") -> None:
    """Make Pulumi and the engine agree again after an update that was killed or a state that was lost, and bring the
    stack up. Data stays. Asks first if it is not the demo stack.
    """
    settings, desired = _plan(stack)
    if not settings.demo:
        typer.confirm(
            f"End the running update of {stack}, remove what its state does not know, and update?", abort=True
        )
    pulumi_cli.show("cancel", "--stack", stack, "--yes")
    if pulumi_cli.resources(stack):
        pulumi_cli.show("refresh", "--stack", stack, "--yes", "--skip-preview", "--clear-pending-creates")
    for removed in recover.remove_orphans(desired, pulumi_cli.resources(stack)):
        typer.echo(f"removed, it comes back: {removed}")
    if _up(stack) == 0:
        return
    endpoints = Endpoints.of(settings, _grafana_login(stack, desired))
    with client() as http:
        cleared = recover.delete_untracked_grafana_objects(
            desired, pulumi_cli.resources(stack), endpoints.grafana, endpoints.grafana_auth, http
        )
    if not cleared:
        _fail("the update failed for a reason of its own (above)")
    for removed in cleared:
        typer.echo(f"removed, it comes back: {removed}")
    raise typer.Exit(_up(stack))


def _up(stack: str) -> int:
    return pulumi_cli.show("up", "--stack", stack, "--yes", "--skip-preview")


def _plan(stack: str) -> tuple[Settings, DesiredState]:
    try:
        desired = load_desired_state(stack)
    except (SettingsError, InvalidStackError) as error:
        _fail(str(error))
    return desired.settings, desired


def _alertmanager(http: httpx.Client, stack: str) -> str:
    """Its URL by the settings alone: at night nobody fixes invalid rules first."""
    try:
        settings = load_settings(stack)
    except SettingsError as error:
        _fail(str(error))
    silences.check_environment(http, settings.published("alertmanager"), settings.environment)
    return settings.published("alertmanager")


def _report(stack: str) -> tuple[Settings, report.HealthReport]:
    settings, desired = _plan(stack)
    endpoints = Endpoints.of(settings, _grafana_login(stack, desired))
    with client() as http:
        return settings, report.run(desired.expected, endpoints, _api(settings), http)


def _api(settings: Settings) -> str:
    """Where the API's metrics can be read from here; empty where it runs elsewhere and only Prometheus sees it."""
    return settings.published("api") if settings.demo else ""


def _grafana_login(stack: str, desired: DesiredState) -> GrafanaAuth:
    """GRAFANA_AUTH (`user:password` or a token), or what the stack itself logs in with."""
    return GrafanaAuth(
        os.environ.get("GRAFANA_AUTH") or desired.grafana_auth(pulumi_cli.secret(stack, desired.grafana_secret))
    )


def _read_secret(name: str) -> str:
    """A secret's value, from a terminal without showing it, else the first line of standard input."""
    if sys.stdin.isatty():
        return str(typer.prompt(f"The new {name} (it is not shown)", hide_input=True))
    return sys.stdin.readline().rstrip("\n")


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    sys.exit(2)


if __name__ == "__main__":
    try:
        app()
    except (ClientError, PulumiCliError) as error:
        _fail(str(error))
