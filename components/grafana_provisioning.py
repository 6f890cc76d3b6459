"""What Grafana shows: a folder with the dashboards, the data sources, and on which dashboard it opens. The Grafana
provider alone owns them.
"""

import json
from collections.abc import Sequence

import pulumi
import pulumiverse_grafana as grafana

from desired_state import GRAFANA_FOLDER, DesiredState
from stacks.settings import VolumePolicy


class GrafanaProvisioningArgs:
    """`auth` is `user:password` or a token. `server` is the container that must be healthy before, None where the
    settings name a Grafana that is there already.
    """

    def __init__(self, *, auth: pulumi.Input[str], desired: DesiredState, server: pulumi.Resource | None) -> None:
        self.auth = auth
        self.desired = desired
        self.server = server


class GrafanaProvisioning(pulumi.ComponentResource):
    """`ready` resolves once Grafana has all of it: the uids of data sources and dashboards, and an id."""

    ready: pulumi.Output[Sequence[str]]

    def __init__(self, name: str, args: GrafanaProvisioningArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        settings, server = args.desired.settings, args.server
        # A type of its own gives its children other names in the state. Whoever changes between the two gets the
        # content made there and removed here; else the state would take what is here for being there.
        kind = "GrafanaContent" if server else "ExistingGrafanaContent"
        super().__init__(f"softfactory:monitoring:{kind}", name, None, opts)
        provider = grafana.Provider(
            "grafana-api",
            url=settings.published("grafana"),  # a plain string: it must be known before the container is there
            auth=pulumi.Output.secret(args.auth),
            # The default list has 401: repeated wrong passwords lock the account.
            retry_status_codes=["429", "5xx"],
            opts=pulumi.ResourceOptions(parent=self),
        )
        own = pulumi.ResourceOptions(
            parent=self,
            provider=provider,
            depends_on=[server] if server else None,
            # Where the database goes too there is nothing to take out of it; where it stays, objects left in it would
            # be in the next update's way.
            deleted_with=server if server and settings.volume_policy is VolumePolicy.DELETE else None,
        )
        folder = grafana.oss.Folder(
            "folder",
            title="SoftFactory",
            uid=GRAFANA_FOLDER,
            # With a folder Grafana deletes all that is in it, what others put there too.
            prevent_destroy_if_not_empty=None if server else True,
            opts=own,
        )
        sources = [
            grafana.oss.DataSource(
                f"datasource-{source.uid}",
                uid=source.uid,
                name=source.name,
                type=source.type,
                url=source.url,
                is_default=source.default,
                json_data_encoded=json.dumps(dict(source.options), sort_keys=True),
                opts=own,
            )
            for source in args.desired.datasources
        ]
        pages = {
            uid: grafana.oss.Dashboard(
                f"dashboard-{uid}", folder=folder.uid, config_json=model, overwrite=True, opts=own
            )
            for uid, model in args.desired.dashboards.items()
        }
        made = [*(source.uid for source in sources), *(page.uid for page in pages.values())]
        if args.desired.expected.home:
            # All preferences of the organisation are replaced with it, theme and time zone too.
            home = grafana.oss.OrganizationPreferences(
                "home", home_dashboard_uid=pages[args.desired.expected.home].uid, opts=own
            )
            made.append(home.id)
        self.ready = pulumi.Output.all(*made)
        self.register_outputs({"ready": self.ready})
