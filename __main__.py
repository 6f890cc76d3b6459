"""One environment's monitoring stack: settings and secrets in, stack out."""

import os
from contextlib import suppress

import pulumi

from clients import probes
from components.alertmanager import Alertmanager, AlertmanagerArgs
from components.demo import Demo, DemoArgs
from components.docker_host import DockerHost
from components.exporters import Exporters, ExportersArgs
from components.grafana import Grafana, GrafanaArgs
from components.grafana_provisioning import GrafanaProvisioning, GrafanaProvisioningArgs
from components.prometheus import Prometheus, PrometheusArgs
from desired_state import GRAFANA_PASSWORD
from readiness.checks import Endpoints
from readiness.gate import readiness_gate
from readiness.load import load_and_validate
from readiness.observe import observe

# Each step of each resource is a line of the SDK's own for `pulumi --debug`, and a call that it waits for: a sixth of
# the program's time.
if not os.environ.get("PULUMI_SDK_DEBUG"):
    pulumi.log.debug = lambda *_, **__: None

desired, secrets = load_and_validate(pulumi.get_stack(), pulumi.Config(), probes.client)
settings = desired.settings
observed = observe(settings, probes.client)

engine = DockerHost.create(settings, observed.containers)
alertmanager = Alertmanager(
    "alertmanager",
    AlertmanagerArgs(
        engine=engine,
        release=desired.alertmanager,
        loaded=observed.releases["alertmanager"],
        secrets={name: secrets[name] for name in desired.secrets["alertmanager"]},
    ),
)
prometheus = Prometheus(
    "prometheus", PrometheusArgs(engine=engine, release=desired.prometheus, loaded=observed.releases["prometheus"])
)
engine = engine.with_depends_on(
    prometheus.released, alertmanager.released
)  # a refused release leaves every container as it is
alertmanager.start(engine)
demo = Demo("demo", DemoArgs(engine=engine, secrets=secrets)) if settings.demo else None
exporters = Exporters(
    "exporters",
    ExportersArgs(engine=engine, exporters=settings.exporters, secrets=secrets, upstreams=demo.servers if demo else ()),
)
# Who looks before there is something to see tells people of outages that are none.
prometheus.start(engine.with_depends_on(*exporters.containers, *([demo.api] if demo else [])))
password = secrets.get(GRAFANA_PASSWORD)  # none where the settings name a Grafana that is there already
server = Grafana("grafana", GrafanaArgs(engine=engine, admin_password=password)).container if password else None
auth = secrets[desired.grafana_secret].apply(desired.grafana_auth)
content = GrafanaProvisioning("grafana-content", GrafanaProvisioningArgs(auth=auth, desired=desired, server=server))
deployed = [prometheus.url, alertmanager.url, exporters.ready, content.ready, *([demo.ready] if demo else [])]
endpoints = auth.apply(lambda text: Endpoints.of(settings, probes.GrafanaAuth(text)))

readiness = readiness_gate(desired, endpoints, deployed, probes.client)
pulumi.export("readiness", readiness)
pulumi.export("prometheus_url", prometheus.url)
pulumi.export("alertmanager_url", alertmanager.url)
pulumi.export("grafana_url", settings.published("grafana"))
if password:
    pulumi.export(GRAFANA_PASSWORD, password)
if demo:
    pulumi.export("api_url", demo.ready)


async def last_output() -> None:
    """While outputs are missing, the SDK waits for all of them anew whenever one arrives, a quarter of the program's
    time. It finds them there once the last one is; whatever failed it then raises by itself.
    """
    with suppress(Exception):
        await readiness.future()


pulumi.run(last_output)
