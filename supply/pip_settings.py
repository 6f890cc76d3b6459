"""Prints where pip takes packages from, as shell exports for uv, which does not read pip's configuration.

pip's files and environment are read as pip reads them, later ones win. What is set for uv itself is left alone.
"""

import configparser
import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

# pip's option: uv's variable, and what separates its values.
OPTIONS = {
    "index-url": ("UV_DEFAULT_INDEX", " "),
    "extra-index-url": ("UV_INDEX", " "),
    "find-links": ("UV_FIND_LINKS", ","),
    "trusted-host": ("UV_INSECURE_HOST", " "),
    "cert": ("SSL_CERT_FILE", " "),
}
MACHINE_FILES = tuple(
    Path(folder) / "pip.conf" for folder in ("/etc/xdg/pip", "/Library/Application Support/pip", "/etc")
)
UV_INDEX_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL")


def pip_files(environ: Mapping[str, str]) -> list[Path]:
    """pip's configuration files, the weakest first; PIP_CONFIG_FILE stands in the place of the user's."""
    own = environ.get("PIP_CONFIG_FILE")
    if own == os.devnull:
        return []
    if own:
        return [*MACHINE_FILES, Path(own)]
    home = Path.home()
    user = Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / "pip.conf"
    return [*MACHINE_FILES, home / ".pip" / "pip.conf", user]


def pip_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """The options of OPTIONS that are set for `pip install`, by pip's name."""
    found: dict[str, str] = {}
    parser = configparser.RawConfigParser()
    parser.read(pip_files(environ))
    for section in ("global", "install"):
        if parser.has_section(section):
            found.update({key.replace("_", "-"): value for key, value in parser.items(section)})
    for option in OPTIONS:
        variable = "PIP_" + option.upper().replace("-", "_")
        if environ.get(variable):
            found[option] = environ[variable]
    return {option: " ".join(found[option].split()) for option in OPTIONS if found.get(option)}


def uv_has_index(environ: Mapping[str, str]) -> bool:
    """Whether uv's own variables or files name an index."""
    user = Path(environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "uv" / "uv.toml"
    files = [Path(environ["UV_CONFIG_FILE"])] if environ.get("UV_CONFIG_FILE") else [Path("/etc/uv/uv.toml"), user]
    return any(environ.get(name) for name in UV_INDEX_VARIABLES) or any(
        "index" in file.read_text(encoding="utf-8") for file in files if file.is_file()
    )


def exports(environ: Mapping[str, str]) -> list[str]:
    """Lines of shell; none for an index where uv has one of its own."""
    lines = []
    for option, value in pip_settings(environ).items():
        variable, separator = OPTIONS[option]
        taken = uv_has_index(environ) if option.endswith("index-url") else bool(environ.get(variable))
        if not taken:
            lines.append(f"export {variable}={shlex.quote(separator.join(value.split(' ')))}")
    return lines


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in exports(os.environ))
