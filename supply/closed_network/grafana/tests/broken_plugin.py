#!/usr/bin/env python3
"""Ways in which the plugin can be broken; as an executable, the plugin with one of them.

GRAFANA_PLUGIN_DEFECT names a class below that takes the place of its resource; empty means none.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from grafana_provider.client import Api, PluginError
from grafana_provider.resources import KINDS, Dashboard, Folder, Kind, OrganizationPreferences, State

DEFECT = "GRAFANA_PLUGIN_DEFECT"


class ReadsNoTitle(Folder):
    """A title that was changed by hand stays unseen."""

    def read(self, api: Api, given: str, known: State) -> tuple[str, State] | None:
        found = super().read(api, given, known)
        return found and (found[0], found[1] | {"title": known.get("title", found[1]["title"])})


class UpdatesNothing(Folder):
    def update(self, api: Api, given: str, olds: State, news: State) -> State:
        return olds | news


class DeletesNothing(Dashboard):
    def delete(self, api: Api, given: str, olds: State) -> None:
        pass


class ImportsTheBareUid(Dashboard):
    """An imported dashboard's id lacks the organization."""

    def read(self, api: Api, given: str, known: State) -> tuple[str, State] | None:
        found = super().read(api, given, known)
        return found and (given, found[1])


class SaysNotWhatFailed(Folder):
    def create(self, api: Api, news: State) -> str:
        try:
            return super().create(api, news)
        except PluginError as error:
            raise PluginError(str(error).removeprefix("failed to create folder: ")) from error


class SaysNotWhy(Folder):
    def create(self, api: Api, news: State) -> str:
        try:
            return super().create(api, news)
        except PluginError as error:
            raise PluginError(str(error).partition("{")[0]) from error


class ChecksNothing(Dashboard):
    """A malformed model fails as late as its creation."""

    def check(self, inputs: State) -> list[tuple[str, str]]:
        return []


class DeletesWhatIsNotEmpty(Folder):
    """What others put into the folder goes with it."""

    def delete(self, api: Api, given: str, olds: State) -> None:
        super().delete(api, given, olds | {"preventDestroyIfNotEmpty": False})


class ClearsNothing(OrganizationPreferences):
    """Preferences outlive the stack."""

    def delete(self, api: Api, given: str, olds: State) -> None:
        pass


DEFECTS: dict[type[Kind], str] = {
    ReadsNoTitle: "test_objects_live_from_creation_to_destruction",
    UpdatesNothing: "test_objects_live_from_creation_to_destruction",
    DeletesNothing: "test_objects_live_from_creation_to_destruction",
    DeletesWhatIsNotEmpty: "test_a_token_makes_the_same_objects_under_ids_of_its_own",
    ClearsNothing: "test_preferences_of_the_organization_are_replaced_as_a_whole_and_cleared_at_the_end",
    ImportsTheBareUid: "test_existing_objects_are_adopted_by_import",
    SaysNotWhatFailed: "test_a_taken_uid_fails_with_grafanas_words",
    SaysNotWhy: "test_a_wrong_password_fails_with_the_call_and_the_cause",
    ChecksNothing: "test_a_malformed_dashboard_fails_before_anything_changes",
}
"""Each defect, and the test of tests/grafana_contract/test_plugin.py that fails on it, alone."""


if __name__ == "__main__":
    from grafana_provider.serve import main

    if wanted := os.environ.get(DEFECT):
        broken = {kind.__name__: kind for kind in DEFECTS}[wanted]
        KINDS[broken.token] = broken()
    main()
