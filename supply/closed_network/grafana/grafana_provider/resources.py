"""The resources: what their properties mean, when a change is one, and which calls create, read, update, delete.

Behaviour follows terraform-provider-grafana 4.45 (internal/resources/grafana/resource_*.go), bridged to Pulumi.
State is plain values under Pulumi's property names.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import threading
import time
from collections.abc import Callable
from typing import Any, ClassVar

from .client import Api, ApiError, PluginError
from .wire import UNKNOWN, go_json

State = dict[str, Any]

META = '{"schema_version":"1"}'
"""What the official plugin keeps as `__meta` of resources whose Terraform schema has a version."""

PARENT_WAIT_SECONDS = 120


def equal(old: Any, new: Any) -> bool:
    return bool(old == new)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Property:
    """An input. `default` is what an absent one means; `computed` ones that are absent keep what Grafana chose;
    `same` says whether state and wanted value are equal."""

    default: Any = ""
    computed: bool = False
    replaces: bool = False
    secret: bool = False
    same: Callable[[Any, Any], bool] = equal


ORG_ID = Property(computed=True, replaces=True)


def split_id(given: str) -> tuple[int, str]:
    """`<org>:<rest>` in its parts; a bare one has the organization 0."""
    org, colon, rest = given.partition(":")
    return (int(org), rest) if colon and org.isdigit() else (0, given)


class Kind:
    """What is common to the resources."""

    token: ClassVar[str]
    properties: ClassVar[dict[str, Property]]
    outputs: ClassVar[tuple[str, ...]] = ()
    stable: ClassVar[tuple[str, ...]] = ("orgId", "uid")
    auto_named: ClassVar[bool] = False
    noun: ClassVar[str]

    def __init__(self) -> None:
        self.writing = threading.Lock()

    def check(self, inputs: State) -> list[tuple[str, str]]:
        """What is wrong with the inputs, as property and reason."""
        return []

    def normal(self, inputs: State, api: Api) -> State:
        """The inputs as state holds them."""
        return inputs

    def differs(self, name: str, olds: State, news: State) -> bool:
        """Whether the state's property is not what the program wants."""
        wanted = self.properties[name]
        if name not in news and wanted.computed:
            return False
        old, new = olds.get(name, wanted.default), news.get(name, wanted.default)
        return new == UNKNOWN or not wanted.same(old, new)

    def replaces(self, name: str, olds: State, news: State) -> bool:
        """Whether this property's change needs a new object."""
        return self.properties[name].replaces

    def create(self, api: Api, news: State) -> str:
        """Make the object, and return its id; its state is then read."""
        raise NotImplementedError

    def read(self, api: Api, given: str, known: State) -> tuple[str, State] | None:
        """The object's id and state, or None where it is gone; `known` is the state before, or the inputs."""
        raise NotImplementedError

    def update(self, api: Api, given: str, olds: State, news: State) -> State:
        raise NotImplementedError

    def delete(self, api: Api, given: str, olds: State) -> None:
        raise NotImplementedError

    def org(self, api: Api, org: int) -> int:
        return org or api.config.org

    def reading(self, given: str, error: ApiError) -> PluginError:
        return PluginError(f"error reading {self.noun} with ID`{given}`: {error}")

    def get(self, api: Api, path: str, given: str, name: str, org: int) -> Any:
        """GET an object; None where there is none."""
        try:
            return api.call("GET", path, name, org=org)
        except ApiError as error:
            if error.status == 404:
                return None
            raise self.reading(given, error) from error

    def remove(self, api: Api, path: str, given: str, name: str, org: int, **query: Any) -> None:
        """DELETE an object; one that is gone already is fine."""
        try:
            api.call("DELETE", path, name, org=org, query=query or None)
        except ApiError as error:
            if error.status != 404:
                raise self.reading(given, error) from error

    def reread(self, api: Api, given: str, known: State) -> tuple[str, State]:
        """The id and state right after a write."""
        found = self.read(api, given, known)
        if found is None:
            raise PluginError(f"{self.noun} {given} was written, but Grafana does not have it")
        return found


class Folder(Kind):
    token = "grafana:oss/folder:Folder"
    noun = "folder"
    outputs = ("url",)
    properties: ClassVar[dict[str, Property]] = {
        "orgId": ORG_ID,
        "parentFolderUid": Property(),
        "preventDestroyIfNotEmpty": Property(default=False),
        "title": Property(),
        "uid": Property(computed=True, replaces=True),
    }

    def check(self, inputs: State) -> list[tuple[str, str]]:
        uid = inputs.get("uid", "x")
        if uid != UNKNOWN and not re.fullmatch(r"[a-zA-Z0-9_-]+", uid):
            return [
                ("uid", f"invalid value for uid {uid!r} (folder UIDs can only be alphanumeric, dashes, or underscores)")
            ]
        return [] if "title" in inputs else [("title", "Missing required property 'title'")]

    def create(self, api: Api, news: State) -> str:
        org = self.org(api, int(news.get("orgId") or 0))
        body = {"title": news["title"], "uid": news.get("uid")}
        if news.get("parentFolderUid"):
            body["parentUid"] = self._parent(api, news["parentFolderUid"], org)
        try:
            made = api.call("POST", "/folders", org=org, body={key: value for key, value in body.items() if value})
        except ApiError as error:
            raise PluginError(f"failed to create folder: {error}") from error
        return f"{org}:{made['uid']}"

    def _parent(self, api: Api, uid: str, org: int) -> str:
        """The parent's uid once it is there: another resource may be making it at this moment."""
        deadline = time.monotonic() + PARENT_WAIT_SECONDS
        while True:
            try:
                found: str = api.call("GET", "/folders/{folder_uid}", uid, org=org)["uid"]
                return found
            except PluginError as error:
                if time.monotonic() > deadline or api.stopping.wait(1):
                    raise PluginError(f"failed to find parent folder '{uid}': {error}") from error

    def _uid(self, api: Api, name: str, org: int) -> str:
        """A uid as it is; one of digits only is taken for the numeric id of old states."""
        if not name.isdigit():
            return name
        page = 1
        while found := api.call("GET", "/folders", org=org, query={"page": page, "limit": 1000}):
            for folder in found:
                if folder.get("id") == int(name):
                    return str(folder["uid"])
            page += 1
        raise PluginError(f"folder with numeric ID {name} not found, it may have been deleted")

    def read(self, api: Api, given: str, known: State) -> tuple[str, State] | None:
        org, name = split_id(given)
        org = self.org(api, org)
        found = self.get(api, "/folders/{folder_uid}", given, self._uid(api, name, org), org)
        if found is None:
            return None
        return f"{org}:{found['uid']}", {
            "orgId": str(org),
            "parentFolderUid": found.get("parentUid", ""),
            "preventDestroyIfNotEmpty": known.get("preventDestroyIfNotEmpty", False),
            "title": found["title"],
            "uid": found["uid"],
            "url": api.address(found["url"]),
        }

    def update(self, api: Api, given: str, olds: State, news: State) -> State:
        org, name = split_id(given)
        org = self.org(api, org)
        uid = api.call("GET", "/folders/{folder_uid}", self._uid(api, name, org), org=org)["uid"]
        if self.differs("parentFolderUid", olds, news):
            parent = news.get("parentFolderUid", "")
            parent = self._parent(api, parent, org) if parent else ""
            api.call("POST", "/folders/{folder_uid}/move", uid, org=org, body={"parentUid": parent})
        wanted = {"title": news["title"], "overwrite": True}
        api.call("PUT", "/folders/{folder_uid}", uid, org=org, body=wanted)
        return self.reread(api, given, news)[1]

    def delete(self, api: Api, given: str, olds: State) -> None:
        org, name = split_id(given)
        org = self.org(api, org)
        uid = self._uid(api, name, org)
        if not olds.get("preventDestroyIfNotEmpty"):
            self.remove(api, "/folders/{folder_uid}", given, uid, org, forceDeleteRules="true")
            return
        inside = [found["title"] for found in api.call("GET", "/search", org=org, query={"folderUIDs": uid})]
        if inside:
            raise PluginError(
                f"folder {uid} is not empty and prevent_destroy_if_not_empty is set."
                f" It contains the following dashboards and/or folders: {inside}"
            )
        self.remove(api, "/folders/{folder_uid}", given, uid, org)


def _model(text: str) -> State:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("it is no JSON object")
    return found


def _is_hash(text: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{64}", text) is not None


def _folder(old: str, new: str) -> bool:
    plain = [split_id(each)[1] for each in (old, new)]
    return plain[0] == plain[1] or set(plain) == {"0", ""}


class Dashboard(Kind):
    token = "grafana:oss/dashboard:Dashboard"
    noun = "dashboard"
    outputs = ("dashboardId", "uid", "url", "version")
    stable = ("orgId",)
    properties: ClassVar[dict[str, Property]] = {
        "configJson": Property(),
        "folder": Property(same=_folder),
        "message": Property(),
        "orgId": ORG_ID,
        "overwrite": Property(default=False),
    }

    def check(self, inputs: State) -> list[tuple[str, str]]:
        if "configJson" not in inputs:
            return [("configJson", "Missing required property 'configJson'")]
        if inputs["configJson"] != UNKNOWN:
            try:
                _model(inputs["configJson"])
            except ValueError as error:
                return [("configJson", f"configJson must be the JSON object of a dashboard: {error}")]
        return []

    def normal(self, inputs: State, api: Api) -> State:
        if inputs.get("configJson") in (None, UNKNOWN) or _is_hash(inputs["configJson"]):
            return inputs
        return inputs | {"configJson": self.normal_json(_model(inputs["configJson"]), api)}

    def normal_json(self, model: State, api: Api) -> str:
        """The model without what Grafana numbers: id, version, ids of top-level panels, library panels' details."""
        model = {key: value for key, value in model.items() if key not in ("id", "version")}
        if isinstance(model.get("panels"), list):
            model["panels"] = [self._panel(panel) for panel in model["panels"]]
        text = go_json(model)
        return hashlib.sha256(text.encode()).hexdigest() if api.config.sha256 else text

    @staticmethod
    def _panel(panel: Any) -> Any:
        if not isinstance(panel, dict):
            return panel
        panel = {key: value for key, value in panel.items() if key != "id"}
        library = panel.get("libraryPanel")
        if isinstance(library, dict):
            panel["libraryPanel"] = {key: library[key] for key in ("name", "uid") if key in library}
        return panel

    def replaces(self, name: str, olds: State, news: State) -> bool:
        """Another uid inside configJson is another dashboard."""
        if name != "configJson":
            return super().replaces(name, olds, news)
        texts = olds.get(name, "{}"), news[name]
        if UNKNOWN in texts or any(map(_is_hash, texts)):
            return False
        old, new = (_model(text).get("uid", "") for text in texts)
        return bool(old != new)

    def _post(self, api: Api, org: int, news: State, model: State, **more: Any) -> str:
        model = {key: value for key, value in model.items() if key != "id"} | more.pop("numbered", {})
        if isinstance(model.get("spec"), dict) and "apiVersion" in model and "kind" in model:
            version = api.call("GET", "/health", org=org)["version"]
            raise PluginError(
                "Grafana version 12 doesn't accept k8s-style json. You have to send only the spec"
                if version.removeprefix("v").startswith("12.")
                else "the stand-in plugin has no Kubernetes-style dashboards; send the classic model"
            )
        body = {
            "dashboard": model,
            "folderUid": split_id(news.get("folder", ""))[1],
            "message": news.get("message"),
            "UpdatedAt": "0001-01-01T00:00:00.000Z",
            **more,
        }
        made = api.call("POST", "/dashboards/db", org=org, body={key: value for key, value in body.items() if value})
        return f"{org}:{made['uid']}"

    def create(self, api: Api, news: State) -> str:
        org = self.org(api, int(news.get("orgId") or 0))
        return self._post(api, org, news, _model(news["configJson"]), overwrite=news.get("overwrite"))

    def read(self, api: Api, given: str, known: State) -> tuple[str, State] | None:
        org, name = split_id(given)
        org = self.org(api, org)
        found = self.get(api, "/dashboards/uid/{uid}", given, name, org)
        if found is None:
            return None
        model, meta = found["dashboard"], found["meta"]
        compared, before = dict(model), known.get("configJson", "")
        if before and not _is_hash(before) and not isinstance(_model(before).get("uid"), str):
            compared.pop("uid", None)  # a program that leaves the uid to Grafana does not have it in its model
        return f"{org}:{name}", {
            "configJson": self.normal_json(compared, api),
            "dashboardId": model["id"],
            "folder": meta.get("folderUid", ""),
            "message": known.get("message"),
            "orgId": str(org),
            "overwrite": known.get("overwrite"),
            "uid": model["uid"],
            "url": api.address(meta["url"]),
            "version": model["version"],
            "__meta": META,
        }

    def update(self, api: Api, given: str, olds: State, news: State) -> State:
        org = self.org(api, split_id(given)[0])
        changed = self.differs("configJson", olds, self.normal(news, api))
        text = news["configJson"] if changed or _is_hash(olds["configJson"]) else olds["configJson"]
        made = self._post(api, org, news, _model(text), overwrite=True, numbered={"id": olds.get("dashboardId")})
        return self.reread(api, made, news)[1]

    def delete(self, api: Api, given: str, olds: State) -> None:
        org, name = split_id(given)
        self.remove(api, "/dashboards/uid/{uid}", given, name, self.org(api, org))


def _json(text: str) -> Any:
    return json.loads(text or "{}")


def _same_json(old: str, new: str) -> bool:
    return bool(_json(old) == _json(new))


class DataSource(Kind):
    token = "grafana:oss/dataSource:DataSource"
    noun = "datasource"
    auto_named = True
    properties: ClassVar[dict[str, Property]] = {
        "accessMode": Property(default="proxy"),
        "basicAuthEnabled": Property(default=False),
        "basicAuthUsername": Property(),
        "databaseName": Property(),
        "httpHeaders": Property(default={}, secret=True),
        # Grafana always has a default source: one can become it, and stops only when another one does.
        "isDefault": Property(default=False, same=lambda old, new: old or old == new),
        "jsonDataEncoded": Property(same=_same_json),
        "name": Property(),
        "orgId": ORG_ID,
        "privateDataSourceConnectNetworkId": Property(),
        "secureJsonDataEncoded": Property(secret=True, same=_same_json),
        "type": Property(),
        "uid": Property(computed=True, replaces=True),
        "url": Property(),
        "username": Property(),
    }
    fields: ClassVar[dict[str, str]] = {
        "name": "name",
        "type": "type",
        "uid": "uid",
        "url": "url",
        "user": "username",
        "database": "databaseName",
        "access": "accessMode",
        "isDefault": "isDefault",
        "basicAuth": "basicAuthEnabled",
        "basicAuthUser": "basicAuthUsername",
    }

    def check(self, inputs: State) -> list[tuple[str, str]]:
        wrong = [] if "type" in inputs else [("type", "Missing required property 'type'")]
        for name, reserved in (
            ("jsonDataEncoded", ("httpHeaderName", "teamHttpHeaders")),
            ("secureJsonDataEncoded", ("httpHeaderValue",)),
        ):
            text = inputs.get(name, "")
            if text in ("", UNKNOWN):
                continue
            wrong += [
                (name, f"{word} is a reserved key and cannot be used here. Use the httpHeaders property instead")
                for word in reserved
                if word in text
            ]
            try:
                found = _json(text)
            except ValueError as error:
                wrong.append((name, f"{name} must be JSON text: {error}"))
                continue
            if not isinstance(found, dict):
                wrong.append((name, f"{name} must be the JSON text of an object"))
            elif name.startswith("secure") and not all(isinstance(value, str) for value in found.values()):
                wrong.append((name, f"{name} must have string values only"))
        return wrong

    def normal(self, inputs: State, api: Api) -> State:
        """JSON texts compact and sorted; a private connection adds what the official plugin adds."""
        found = dict(inputs)
        for name in ("jsonDataEncoded", "secureJsonDataEncoded"):
            if found.get(name) not in (None, "", UNKNOWN):
                found[name] = go_json(_json(found[name]))
        network = found.get("privateDataSourceConnectNetworkId")
        if network and found.get("jsonDataEncoded") != UNKNOWN:
            added = {"enableSecureSocksProxy": True, "secureSocksProxyUsername": network}
            found["jsonDataEncoded"] = go_json(_json(found.get("jsonDataEncoded", "")) | added)
        return found

    def _body(self, api: Api, news: State) -> State:
        news = self.normal(news, api)
        data, secure = _json(news.get("jsonDataEncoded", "")), _json(news.get("secureJsonDataEncoded", ""))
        for number, (header, value) in enumerate(sorted(news.get("httpHeaders", {}).items()), start=1):
            data[f"httpHeaderName{number}"], secure[f"httpHeaderValue{number}"] = header, value
        body = {field: news.get(name, self.properties[name].default) for field, name in self.fields.items()}
        body = {field: value for field, value in body.items() if value}
        return body | {"jsonData": data} | ({"secureJsonData": secure} if secure else {})

    def create(self, api: Api, news: State) -> str:
        org = self.org(api, int(news.get("orgId") or 0))
        made = api.call("POST", "/datasources", org=org, body=self._body(api, news))
        return f"{org}:{made['datasource']['uid']}"

    def read(self, api: Api, given: str, known: State) -> tuple[str, State] | None:
        org, name = split_id(given)
        found = self.get(api, "/datasources/uid/{uid}", given, name, self.org(api, org))
        if found is None:
            return None
        if not known and found.get("readOnly"):
            raise PluginError(
                "this Grafana data source is read-only. It cannot be imported as a resource:"
                " it belongs to a provisioning file"
            )
        data = found.get("jsonData") or {}
        headers = {value for key, value in data.items() if key.startswith("httpHeaderName")}
        kept = {key: value for key, value in data.items() if not key.startswith(("httpHeaderName", "teamHttpHeaders"))}
        secure = known.get("secureJsonDataEncoded")
        state = {name: found.get(field, self.properties[name].default) for field, name in self.fields.items()} | {
            "jsonDataEncoded": go_json(kept),
            "orgId": str(found["orgId"]),
            "privateDataSourceConnectNetworkId": known.get("privateDataSourceConnectNetworkId", ""),
            "secureJsonDataEncoded": go_json(_json(secure)) if secure else None,
            "__meta": META,
        }
        if known.get("httpHeaders"):  # Grafana never tells the values: only headers that are gone are news
            state["httpHeaders"] = {key: value for key, value in known["httpHeaders"].items() if key in headers}
        return f"{found['orgId']}:{found['uid']}", state

    def update(self, api: Api, given: str, olds: State, news: State) -> State:
        org, name = split_id(given)
        body = self._body(api, {"uid": olds.get("uid", name)} | news)
        api.call("PUT", "/datasources/uid/{uid}", name, org=self.org(api, org), body=body)
        absent = {
            key: None if wanted.secret else wanted.default
            for key, wanted in self.properties.items()
            if not wanted.computed
        }
        return olds | absent | self.normal(news, api)

    def delete(self, api: Api, given: str, olds: State) -> None:
        org, name = split_id(given)
        self.remove(api, "/datasources/uid/{uid}", given, name, self.org(api, org))


class OrganizationPreferences(Kind):
    token = "grafana:oss/organizationPreferences:OrganizationPreferences"
    noun = "organization preferences"
    stable = ("orgId",)
    properties: ClassVar[dict[str, Property]] = {
        "homeDashboardUid": Property(),
        "orgId": ORG_ID,
        "theme": Property(),
        "timezone": Property(),
        "weekStart": Property(),
    }
    fields: ClassVar[dict[str, str]] = {
        "homeDashboardUID": "homeDashboardUid",
        "theme": "theme",
        "timezone": "timezone",
        "weekStart": "weekStart",
    }

    def check(self, inputs: State) -> list[tuple[str, str]]:
        if inputs.get("weekStart", "") in ("sunday", "monday", "saturday", "", UNKNOWN):
            return []
        return [("weekStart", f"weekStart is {inputs['weekStart']!r}; it must be sunday, monday, saturday or empty")]

    def _put(self, api: Api, org: int, news: State) -> None:
        body = {field: news[name] for field, name in self.fields.items() if news.get(name)}
        api.call("PUT", "/org/preferences", org=org, body=body)

    def create(self, api: Api, news: State) -> str:
        org = self.org(api, int(news.get("orgId") or 0))
        self._put(api, org, news)
        return str(org)

    def read(self, api: Api, given: str, known: State) -> tuple[str, State] | None:
        try:
            found = api.call("GET", "/org/preferences", org=int(given))
        except ApiError as error:
            if error.status == 404:
                return None
            raise self.reading(given, error) from error
        return given, {"orgId": given} | {name: found.get(field, "") for field, name in self.fields.items()}

    def update(self, api: Api, given: str, olds: State, news: State) -> State:
        self._put(api, int(given), news)
        return self.reread(api, given, news)[1]

    def delete(self, api: Api, given: str, olds: State) -> None:
        self._put(api, int(given), {})


KINDS: dict[str, Kind] = {kind.token: kind for kind in (Folder(), Dashboard(), DataSource(), OrganizationPreferences())}
