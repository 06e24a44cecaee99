"""A clinic whose schema somebody has dropped comes back by the steps of the documentation."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from app.demo.embedded import postgres_bin
from tests.support.platform import Platform
from tests.support.program import PROGRAM, Ran, environment

DOCUMENT = Path(__file__).parents[2] / "docs" / "restore.md"

# As django-tenants has it: by which address a clinic is reached.
DOMAINS = """
CREATE TABLE public.dominio (id int PRIMARY KEY, nombre text UNIQUE, clinica_id bigint NOT NULL REFERENCES clinica);
INSERT INTO dominio VALUES (1, 'uno.example', 1), (2, 'dos.example', 2);
"""


def steps() -> list[str]:
    """The lines for bash that follow the first ones, which say what is called how, in their order."""
    section = (
        DOCUMENT.read_text(encoding="utf-8").partition("## A clinic whose schema is gone\n")[2].partition("\n## ")[0]
    )
    found = re.findall(r"^( *)```sh\n(.*?)^ *```$", section, re.DOTALL | re.MULTILINE)
    return [re.sub(f"^{indent}", "", lines, flags=re.MULTILINE) for indent, lines in found][1:]


def in_bash(lines: str, platform: Platform, **names: str) -> Ran:
    """Run them as a person does who has the program and PostgreSQL's at hand."""
    path = os.pathsep.join([str(PROGRAM.parent), str(postgres_bin(18)), os.environ["PATH"]])
    ran = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", lines],
        cwd=platform.folder,
        env=environment(**(platform.settings | names | {"PATH": path, "DB": platform.settings["DATABASE_URL"]})),
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, (lines, ran)
    return Ran(ran.returncode, ran.stdout, ran.stderr)


def dumped(platform: Platform, *options: str) -> list[str]:
    """What PostgreSQL's own dump has to say of that, in no order."""
    out = in_bash(f'pg_dump "$DB" {" ".join(options)}', platform).out
    # Of a key that is another one each time.
    return sorted(line for line in out.splitlines() if not re.match(r"\\(un)?restrict ", line))


@pytest.mark.parametrize("row_too", [False, True], ids=["schema", "schema-and-row"])
async def test_the_documented_way_back(platform: Platform, row_too: bool) -> None:
    await platform.sql.execute(DOMAINS)
    id_ = str(platform.run("crear", "--clinica", "clinica1", "--json").json["id"])
    before = dumped(platform, "--schema=clinica1"), dumped(platform, "--data-only", "--schema=public")
    await platform.sql.execute("DROP SCHEMA clinica1 CASCADE")
    if row_too:
        await platform.sql.execute("DELETE FROM dominio WHERE clinica_id = 1; DELETE FROM clinica WHERE id = 1")

    failed = platform.run("crear", "--clinica", "1")
    assert (failed.code, "1» de la clínica no existe" in failed.err or "no existe la clínica 1" in failed.err) == (
        1,
        True,
    )
    refused = platform.run("restaurar", id_, "--si")
    assert refused.code == 1
    assert ("tabla de clínicas" if row_too else "«clinica1»") in refused.err
    assert platform.run("crear", "--clinica", "2").code == 0, "the others go on"

    names = {"GONE": "clinica1", "LIKE": "clinica2", "ID": id_}
    row, tables, data = steps()
    for lines in (*([row] if row_too else []), tables):
        in_bash(lines, platform, **names)
    assert in_bash(data, platform, **names).out.endswith("✓ No hay ninguna diferencia\n")
    assert (dumped(platform, "--schema=clinica1"), dumped(platform, "--data-only", "--schema=public")) == before
    assert platform.run("verificar", id_, "--profundidad", "ensayo").code == 0
    assert platform.run("crear", "--clinica", "clinica1").code == 0
