"""What the settings of every exporter have in common."""

from typing import ClassVar

from pydantic import Field

from stacks.types import DnsLabel, SettingsModel


class ExporterSettings(SettingsModel):
    """One server for which the stack runs an exporter: one container, one scrape target and, if it needs a password,
    one secret of its own.

    `service` is the server's kind: the name of its list in `exporters`, of its module in rules/, and of its exporter's
    image, `<service>-exporter`.
    """

    service: ClassVar[str]
    has_password: ClassVar[bool] = True

    instance: DnsLabel = Field(examples=["prod-1"])
    """The server's name in alerts and on dashboards. It also names the exporter's container and the server's secret."""

    @property
    def server(self) -> str:
        """Where the exporter reaches the server, as `host:port`."""
        raise NotImplementedError

    @property
    def container(self) -> str:
        """The exporter's container, without the name prefix: `<service>-exporter-<instance>`."""
        return f"{self.image}-{self.instance}"

    @property
    def image(self) -> str:
        """The key of the exporter's image in stacks/images.py."""
        return f"{self.service}-exporter"

    @property
    def secret(self) -> str | None:
        """The secret that holds the server's password: `<instance>_password`, with `-` written as `_`.

        `postgres-1` has `postgres_1_password`. None if the exporter logs in without a password.
        """
        return f"{self.instance.replace('-', '_')}_password" if self.has_password else None
