"""`make bench`: measure, print the table, keep the numbers in .bench/results.json; exit 1 for a missed target."""

import json
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench import backup
from tests.bench.ground import HOME, measured_ground
from tests.bench.table import Row

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
    """Measure and print; the exit code."""
    os.environ["RESPALDOS_HOME"] = str(HOME)
    with measured_ground() as settings, tempfile.TemporaryDirectory() as folder:
        rows, raw = backup.measure(settings, Path(folder))
    show("A clinic of 1,000,000 records", rows)
    backup.show_stages(raw)
    RESULTS.write_text(json.dumps({"cores": os.cpu_count(), "rows": [asdict(row) for row in rows], **raw}, indent=2))
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
