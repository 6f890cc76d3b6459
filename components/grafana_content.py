"""What Grafana shows: a folder with the dashboards, the data sources, and on which dashboard it opens. The Grafana
provider alone owns them.
"""

import json
from collections.abc import Sequence

import pulumi
import pulumiverse_grafana as grafana

import plan
from stacks.settings import Fate


class GrafanaContentArgs:
    """`url` is a plain string (see components/grafana.py), `auth` is `user:password` or a token. `server` is the
    container that must be healthy before, where it is ours; `fate` is that of its database.
    """

    def __init__(
        self, *, url: str, auth: pulumi.Input[str], wanted: plan.Plan,
        server: pulumi.Resource | None = None, fate: Fate = Fate.KEEP,
    ) -> None:  # fmt: skip
        self.url = url
        self.auth = auth
        self.wanted = wanted
        self.server = server
        self.fate = fate


class GrafanaContent(pulumi.ComponentResource):
    """`ready` resolves once Grafana has all of it: the uids of data sources and dashboards, and an id."""

    ready: pulumi.Output[Sequence[str]]

    def __init__(self, name: str, args: GrafanaContentArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("softfactory:monitoring:GrafanaContent", name, None, opts)
        provider = grafana.Provider(
            "grafana-api",
            url=args.url,
            auth=pulumi.Output.secret(args.auth),
            # The default list has 401: repeated wrong passwords lock the account.
            retry_status_codes=["429", "5xx"],
            opts=pulumi.ResourceOptions(parent=self),
        )
        own = pulumi.ResourceOptions(
            parent=self,
            provider=provider,
            depends_on=[args.server] if args.server else None,
            # Where the database goes too there is nothing to take out of it; where it stays, objects left in it would
            # be in the next update's way.
            deleted_with=args.server if args.server and args.fate is Fate.DELETE else None,
        )
        folder = grafana.oss.Folder("folder", title="SoftFactory", uid="softfactory", opts=own)
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
            for source in args.wanted.datasources
        ]
        pages = {
            uid: grafana.oss.Dashboard(
                f"dashboard-{uid}", folder=folder.uid, config_json=model, overwrite=True, opts=own
            )
            for uid, model in args.wanted.dashboards.items()
        }
        made = [*(source.uid for source in sources), *(page.uid for page in pages.values())]
        if args.wanted.expected.home:
            # All preferences of the organisation are replaced with it, theme and time zone too.
            home = grafana.oss.OrganizationPreferences(
                "home", home_dashboard_uid=pages[args.wanted.expected.home].uid, opts=own
            )
            made.append(home.id)
        self.ready = pulumi.Output.all(*made)
        self.register_outputs({"ready": self.ready})
