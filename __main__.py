"""One environment's monitoring stack: settings and secrets in, stack out."""

import pulumi

from components.alertmanager import Alertmanager, AlertmanagerArgs
from components.demo import Demo, DemoArgs
from components.engine import Engine
from components.exporters import Exporters, ExportersArgs
from components.grafana import ADMIN, PASSWORD, Grafana, GrafanaArgs
from components.grafana_content import GrafanaContent, GrafanaContentArgs
from components.live import look
from components.prometheus import Prometheus, PrometheusArgs
from components.verify import verify
from ops import probes
from ops.truth import Access
from plan import PlanError, plan
from stacks.settings import SettingsError, load_settings

config = pulumi.Config()
try:
    settings = load_settings(pulumi.get_stack(), images=config.get_object("images"))
    wanted = plan(settings)
except (SettingsError, PlanError) as problem:
    raise pulumi.RunError(str(problem)) from None  # a message, not a traceback
secrets = {name: config.require_secret(name) for name in wanted.secret_names}
live = look(settings, probes.client)

engine = Engine.of(settings, live.containers)
demo = Demo("demo", DemoArgs(engine=engine, secrets=secrets)) if settings.demo else None
exporters = Exporters("exporters", ExportersArgs(engine=engine, secrets=secrets, servers=demo.servers if demo else ()))
alertmanager = Alertmanager(
    "alertmanager",
    AlertmanagerArgs(
        engine=engine, release=wanted.alertmanager, live=live.releases["alertmanager"],
        secrets={name: secrets[name] for name in wanted.secrets["alertmanager"]},
    ),
)  # fmt: skip
prometheus = Prometheus(
    "prometheus", PrometheusArgs(engine=engine, release=wanted.prometheus, live=live.releases["prometheus"])
)
grafana = Grafana("grafana", GrafanaArgs(engine=engine, admin_password=secrets[PASSWORD]))
content = GrafanaContent(
    "grafana-content",
    GrafanaContentArgs(
        url=grafana.url, auth=pulumi.Output.concat(ADMIN, ":", secrets[PASSWORD]), wanted=wanted,
        server=grafana.container, fate=settings.data,
    ),
)  # fmt: skip
access = pulumi.Output.all(prometheus.url, alertmanager.url, secrets[PASSWORD]).apply(
    lambda seen: Access(
        prometheus=seen[0], alertmanager=seen[1], grafana=grafana.url, grafana_auth=(ADMIN, seen[2]),
        prefix=settings.prefix, engine_host=settings.engine_host,
    )
)  # fmt: skip
deployed = [exporters.ready, content.ready, *([demo.ready] if demo else [])]
pulumi.export(
    "verified", pulumi.Output.unsecret(verify(wanted.expected, access, settings.verification, deployed, probes.client))
)
pulumi.export("prometheus", prometheus.url)
pulumi.export("alertmanager", alertmanager.url)
pulumi.export("grafana", grafana.url)
pulumi.export("grafana_admin_password", secrets[PASSWORD])
if demo:
    pulumi.export("api", demo.ready)
