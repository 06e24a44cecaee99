"""Whose each row of the sample is, written by hand: the tests must not ask the code that they test."""

from app.demo.sample.generate import Connection

# The clinic of row `t`, by table; parents before children.
OWNER = {
    "clinica": "t.id",
    "usuario": "t.clinica_id",
    "paciente": "t.clinica_id",
    "odontologo": "(SELECT clinica_id FROM usuario WHERE codigo = t.codusuario)",
    "recepcionista": "(SELECT clinica_id FROM usuario WHERE codigo = t.codusuario)",
    "consulta": "(SELECT clinica_id FROM paciente WHERE codusuario = t.codpaciente)",
    "historialclinico": "(SELECT clinica_id FROM paciente WHERE codusuario = t.codpaciente)",
    "odontograma": "(SELECT clinica_id FROM paciente WHERE codusuario = t.codpaciente)",
    "plan_tratamiento": "(SELECT clinica_id FROM paciente WHERE codusuario = t.codpaciente)",
    "presupuesto": "(SELECT owner FROM owned_plan_tratamiento WHERE key = t.idplan)",
    "item_presupuesto": "(SELECT owner FROM owned_presupuesto WHERE key = t.idpresupuesto)",
    "tratamiento_odontologico": "(SELECT owner FROM owned_odontograma WHERE key = t.idodontograma)",
    "factura": "t.clinica_id",
    "itemdefactura": "(SELECT clinica_id FROM factura WHERE id = t.idfactura)",
    "pago": "(SELECT clinica_id FROM factura WHERE id = t.idfactura)",
    "pago_en_linea": (
        "coalesce((SELECT owner FROM owned_pago WHERE key = t.idpago),"
        " (SELECT owner FROM owned_consulta WHERE key = t.idconsulta))"
    ),
    "bitacora": "coalesce(t.clinica_id, (SELECT clinica_id FROM usuario WHERE codigo = t.usuario_id))",
}
KEY = {
    "usuario": "codigo",
    "paciente": "codusuario",
    "odontologo": "codusuario",
    "recepcionista": "codusuario",
}


async def mark_owners(conn: Connection) -> None:
    """A temporary table `owned_X` (key, owner) for each table X of a clinic."""
    for table, owner in OWNER.items():
        key = KEY.get(table, "id")
        await conn.execute(
            f"CREATE TEMP TABLE owned_{table} AS SELECT t.{key} AS key, {owner} AS owner FROM {table} AS t;"
            f"CREATE UNIQUE INDEX ON owned_{table} (key)"
        )


async def rows_by_clinic(conn: Connection) -> dict[int | None, int]:
    """How many rows each clinic owns; None owns what nobody does. Needs `mark_owners`."""
    union = " UNION ALL ".join(f"SELECT owner FROM owned_{table}" for table in OWNER)
    rows = await conn.fetch(f"SELECT owner, count(*) AS rows FROM ({union}) AS every GROUP BY owner")
    return {row["owner"]: row["rows"] for row in rows}


async def foreign_keys(conn: Connection) -> list[tuple[str, str, str, str]]:
    """Every foreign key of the database: table, column, table it points at, column there."""
    rows = await conn.fetch(
        """
        SELECT c.conrelid::regclass::text AS child, a.attname AS child_column,
            c.confrelid::regclass::text AS parent, b.attname AS parent_column
        FROM pg_constraint AS c
        JOIN pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
        JOIN pg_attribute AS b ON b.attrelid = c.confrelid AND b.attnum = c.confkey[1]
        WHERE c.contype = 'f'
        """
    )
    return [(row["child"], row["child_column"], row["parent"], row["parent_column"]) for row in rows]


async def digest(conn: Connection, schema: str = "public") -> dict[str, str]:
    """How many rows each table of a schema has, and a hash of all of them, in whatever order."""
    tables = await conn.fetch("SELECT tablename FROM pg_tables WHERE schemaname = $1", schema)
    hashed = [
        f"SELECT '{name}', concat_ws(' ', count(*), sum(hashtextextended(t::text, 0)::numeric),"
        f""" sum(hashtextextended(t::text, 1)::numeric)) FROM "{schema}"."{name}" AS t"""
        for (name,) in tables
    ]
    return dict(map(tuple, await conn.fetch(" UNION ALL ".join(hashed)))) if hashed else {}
