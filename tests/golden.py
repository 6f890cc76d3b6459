"""All dashboards of the dev stack as last reviewed: `make update-snapshots` renews them, and a unit test compares."""

from pathlib import Path

from tests.checkers import complete

FOLDER = Path(__file__).parent / "golden"
PLACE = "grafana/dashboards/"


def rendered() -> dict[str, str]:
    """File name to text, as it is rendered now."""
    files = complete().files()
    return {path.removeprefix(PLACE): text for path, text in files.items() if path.startswith(PLACE)}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    now = rendered()
    for path in FOLDER.glob("*.json"):
        if path.name not in now:
            path.unlink()
    for name, text in now.items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
