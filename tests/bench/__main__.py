"""`make bench`: measure, print the table, keep the numbers in .bench/results.json; exit 1 for a missed target."""

import json
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench import backup, by_hand, many_backups, owners, panel, points, restore, search, service
from tests.bench.databases import (
    FIFTEEN_THOUSAND,
    HOME,
    HUNDRED_THOUSAND,
    MANY_BACKUPS_HOME,
    MANY_CLINICS,
    MANY_HOME,
    MILLION,
    OWNERS_HOME,
    POINTS_HOME,
    RESTORED_HOME,
    SEARCHED_HOME,
    TEN_THOUSAND,
    measured_ground,
)
from tests.bench.table import Row

PARTS = ["backup", "owners", "service", "many_backups", "points", "panel", "restore", "search", "by_hand"]

RESULTS = HOME / "results.json"


def show(title: str, rows: list[Row]) -> None:
    """The lines with their bounds."""
    table = Table(title=f"{title}, {os.cpu_count()} cores")
    for header in ("what", "against", "measured", "to reach", ""):
        table.add_column(header)
    for row in rows:
        bound = "" if row.target is None else f"{'≥' if row.at_least else '≤'} {row.target:g} {row.unit}"
        mark = "" if row.target is None else "✓" if row.met else "✗ missed"
        table.add_row(row.what, row.against, f"{row.value:.2f} {row.unit}", bound, mark)
    Console().print(table)


def main() -> int:
    """Measure and print; the exit code. With one of the parts as argument, only that."""
    parts = sys.argv[1:] or [
        "backup",
        "owners",
        "service",
        "many_backups",
        "points",
        "panel",
        "restore",
        "search",
        "by_hand",
    ]
    rows: list[Row] = []
    raw: dict[str, Any] = {}
    HOME.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        if "backup" in parts:
            with measured_ground(HOME, (MILLION, TEN_THOUSAND, FIFTEEN_THOUSAND)) as settings:
                found, raw["backup"] = backup.measure(settings, Path(folder))
            show("A clinic of 1,000,000 records", found)
            backup.show_stages(raw["backup"])
            rows += found
        if "owners" in parts:
            with measured_ground(OWNERS_HOME, ()) as settings:
                found, raw["owners"] = owners.measure(settings, Path(folder))
            show("Whose row is it", found)
            rows += found
        if "service" in parts:
            with (
                measured_ground(MANY_HOME, MANY_CLINICS) as many,
                measured_ground(HOME, (MILLION, TEN_THOUSAND, FIFTEEN_THOUSAND)),
            ):
                found, raw["service"] = service.measure(many)
            show("The running service", found)
            rows += found
        if "many_backups" in parts:
            with measured_ground(MANY_BACKUPS_HOME, ()) as settings:
                found, raw["many_backups"] = many_backups.measure(settings)
            show("10,000 clinics and 1,000,000 backups", found)
            rows += found
        if "points" in parts:
            with measured_ground(POINTS_HOME, points.CLINICS) as settings:
                found, raw["points"] = points.measure(settings)
            show("Points of the day", found)
            rows += found
        if "panel" in parts:
            with measured_ground(MANY_HOME, MANY_CLINICS):
                found, raw["panel"] = panel.measure()
            show("The panel", found)
            rows += found
        if "restore" in parts:
            with measured_ground(RESTORED_HOME, restore.SIZES) as settings:
                found, raw["restore"] = restore.measure(settings, Path(folder))
            show("Restoring", found)
            rows += found
        if "search" in parts:
            with measured_ground(SEARCHED_HOME, (HUNDRED_THOUSAND,)) as settings:
                found, raw["search"] = search.measure(settings)
            show("Looking for a record in thirty backups", found)
            rows += found
        if "by_hand" in parts:
            with measured_ground(MANY_HOME, MANY_CLINICS) as settings:
                found, raw["by_hand"] = by_hand.measure(settings, Path(folder))
            show("What people do without it", found)
            rows += found
    RESULTS.write_text(json.dumps({"cores": os.cpu_count(), "rows": [asdict(row) for row in rows], **raw}, indent=2))
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
