"""Classifies every table of the clinic database by its columns, its foreign keys and the settings."""

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import replace

from app.clinic.catalogue import (
    ByColumn,
    ByForeignKey,
    ByRule,
    Candidate,
    Catalogue,
    Entry,
    Source,
    TableClass,
    Tenancy,
    WholeTable,
)
from app.clinic.introspection import Introspection, Table, TableName
from app.dump.document import JSON_NULL_KEY
from app.errors import CatalogError

# The names that the earlier service gave to these tables' records, and that its readers know.
MODEL_NAMES = {
    "usuario": "usuarios",
    "paciente": "pacientes",
    "consulta": "consultas",
    "historialclinico": "historiales_clinicos",
    "tratamiento_odontologico": "tratamientos_odontologicos",
    "plan_tratamiento": "planes_tratamiento",
    "presupuesto": "presupuestos",
    "factura": "facturas",
    "pago": "pagos",
    "pago_en_linea": "pagos_online",
    "bitacora": "bitacoras",
}

MIGRATION_TABLES = ("django_migrations", "alembic_version")

SHARED_RULE = "shared"


def build_catalogue(introspection: Introspection, tenancy: Tenancy, *, schema: str | None, text: str) -> Catalogue:
    """Classify every table. `schema` is the clinic's own, in tenancy `schema`.

    Raises CatalogError where there is no one tenant table, a setting names what is not there, or two tables
    would have one name in the file.
    """
    tables = introspection.tables
    excludable = {*tables, *introspection.foreign_tables}
    excluded = {_find(excludable, name, "EXCLUDE_TABLES", schema) for name in tenancy.exclude}
    rules = {_find(tables, name, "OWNERSHIP_RULES", schema): rule for name, rule in tenancy.rules.items()}
    tenant_table, tenant_key = find_tenant_table(introspection, tenancy)
    if schema is not None and not any(name.schema == schema for name in tables):
        raise CatalogError(f"el esquema «{schema}» de la clínica no existe o no tiene ninguna tabla")
    described = {
        name: table for name, table in tables.items() if name not in excluded and name.name not in MIGRATION_TABLES
    }

    stated: dict[TableName, Candidate] = {}
    for name, table in described.items():
        column = table.column(tenancy.column)
        if name in rules:
            if rules[name] != SHARED_RULE:
                stated[name] = ByRule(rules[name])
        elif name == tenant_table:
            stated[name] = ByColumn(tenant_key)
        elif schema is not None:
            if name.schema == schema:
                stated[name] = WholeTable()
        elif column is not None and not _points_elsewhere(table, tenancy.column, tenant_table):
            if not column.number:
                raise CatalogError(
                    f"la columna «{column.name}» de «{name}» es de tipo {column.type} y debería ser un número de"
                    " clínica; use OWNERSHIP_RULES o EXCLUDE_TABLES"
                )
            stated[name] = ByColumn(tenancy.column)

    final = {name for name in stated if name in rules or name == tenant_table or schema is not None}
    shared = {name for name, rule in rules.items() if rule == SHARED_RULE}
    follows = described.keys() - shared
    distances = _distances(described, stated, follows)
    definite: set[TableName] = set()
    while True:
        candidates = {
            name: tuple(
                _candidates(described[name], stated.get(name), name in final, distances, definite, tenant_table)
            )
            for name in distances
        }
        found = {name for name, ways in candidates.items() if _is_definite(described[name], ways, definite, final)}
        if found == definite:
            break
        definite = found

    in_cycles = cycles(
        {
            name: {way.foreign_key.target for way in ways if isinstance(way, ByForeignKey)}
            for name, ways in candidates.items()
        }
    )
    referenced = _referenced(described, set(candidates))
    entries = {}
    for name in _ordered(tables):
        kind = (
            TableClass.EXCLUDED
            if name in excluded
            else TableClass.MIGRATIONS
            if name not in described
            else TableClass.OWNED
            if name in candidates
            else TableClass.REFERENCED
            if schema is not None or name in referenced or name in shared
            else TableClass.UNCLASSIFIED
        )
        entries[name] = Entry(
            table=tables[name],
            model=_model_name(name, schema),
            kind=kind,
            candidates=candidates.get(name, ()),
            definite=name in definite,
            cycle=in_cycles.get(name, frozenset()),
        )
    entries = _with_sources(entries)
    _refuse_unwritable(entries.values())
    foreign_tables = tuple(name for name in introspection.foreign_tables if name not in excluded)
    return Catalogue(entries, tenant_table, tenant_key, schema, introspection.postgresql, foreign_tables, text)


def find_tenant_table(introspection: Introspection, tenancy: Tenancy) -> tuple[TableName, str]:
    """The table of clinics and the column with a clinic's id: TENANT_TABLE, else the one that says so itself.

    That is the table that the tenant column references or, in tenancy `schema`, the one with the schema
    column. Raises CatalogError where there is none or more than one, or where the ids are not integers.
    """
    tables = introspection.tables
    targets = {
        (fk.target, fk.target_columns[0])
        for table in tables.values()
        for fk in table.foreign_keys
        if fk.columns == (tenancy.column,)
    }
    if tenancy.table is not None:
        name = _find(tables, tenancy.table, "TENANT_TABLE", None)
        targets = {target for target in targets if target[0] == name} or {
            (name, column) for column in tables[name].key
        }
        if len(targets) != 1:
            raise CatalogError(f"TENANT_TABLE: la tabla «{name}» no tiene una clave de una sola columna")
    elif tenancy.kind == "schema":
        targets = {
            (name, table.key[0])
            for name, table in tables.items()
            if len(table.key) == 1 and table.column(tenancy.schema_column) is not None
        }
    elif not any(table.column(tenancy.column) is not None for table in tables.values()):
        raise CatalogError(f"TENANT_COLUMN: ninguna tabla tiene una columna «{tenancy.column}»")
    if len(targets) != 1:
        found = ", ".join(sorted(str(name) for name, _ in targets)) or "ninguna"
        raise CatalogError(
            f"no se sabe cuál es la tabla de clínicas (candidatas: {found}); indíquela en TENANT_TABLE"
        )
    name, key = targets.pop()
    column = tables[name].column(key)
    if column is None or column.type not in {"smallint", "integer", "bigint"}:
        raise CatalogError(f"la columna «{key}» de la tabla de clínicas «{name}» no es un número entero")
    return name, key


def _find(tables: Container[TableName], text: str, setting: str, schema: str | None) -> TableName:
    """The table that a setting names, as `table` or `schema.table`."""
    wanted = [TableName(schema, text)] if schema is not None else []
    wanted.append(TableName("public", text))
    if "." in text:
        wanted.append(TableName(*text.split(".", 1)))
    for name in wanted:
        if name in tables:
            return name
    raise CatalogError(f"{setting} nombra la tabla «{text}», que no existe")


def _distances(
    tables: Mapping[TableName, Table], stated: Mapping[TableName, Candidate], follows: Iterable[TableName]
) -> dict[TableName, int]:
    """For each table that can have owners, the fewest foreign keys from it to a table that states them."""
    distances = dict.fromkeys(stated, 0)
    unreached = set(follows) - distances.keys()
    step = 0
    while True:
        step += 1
        reached = {name for name in unreached if any(fk.target in distances for fk in tables[name].foreign_keys)}
        if not reached:
            return distances
        distances.update(dict.fromkeys(reached, step))
        unreached -= reached


def _candidates(
    table: Table,
    stated: Candidate | None,
    final: bool,
    distances: Mapping[TableName, int],
    definite: set[TableName],
    tenant_table: TableName,
) -> Iterator[Candidate]:
    """The ways to the table's owner in their order, up to the first that always gives one."""
    if stated is not None:
        yield stated
        if final or (isinstance(stated, ByColumn) and not _nullable(table, stated.column)):
            return
    for fk in sorted(
        (fk for fk in table.foreign_keys if fk.target in distances),
        key=lambda fk: (fk.optional, distances[fk.target], fk.name),
    ):
        if fk.target == tenant_table and isinstance(stated, ByColumn) and fk.columns == (stated.column,):
            continue
        yield ByForeignKey(fk)
        if not fk.optional and fk.target in definite:
            return


def _points_elsewhere(table: Table, column: str, tenant_table: TableName) -> bool:
    """Whether a column with the tenant column's name holds the key of another table than the clinics'."""
    targets = {fk.target for fk in table.foreign_keys if fk.columns == (column,)}
    return bool(targets) and tenant_table not in targets


def _nullable(table: Table, name: str) -> bool:
    column = table.column(name)
    return column is None or column.nullable


def _is_definite(
    table: Table, candidates: Iterable[Candidate], definite: set[TableName], final: set[TableName]
) -> bool:
    for candidate in candidates:
        match candidate:
            case WholeTable():
                return True
            case ByColumn(column) if not _nullable(table, column) or table.name in final:
                return True
            case ByForeignKey(fk) if not fk.optional and fk.target in definite:
                return True
    return False


def cycles(parents: Mapping[TableName, set[TableName]]) -> dict[TableName, frozenset[TableName]]:
    """For each table that may depend on itself: all tables that depend on it and it on them."""
    reach: dict[TableName, set[TableName]] = {}
    for name in parents:
        seen: set[TableName] = set()
        pending = set(parents[name])
        while pending:
            parent = pending.pop()
            seen.add(parent)
            pending |= parents[parent] - seen
        reach[name] = seen
    return {
        name: frozenset(other for other in seen if name in reach[other])
        for name, seen in reach.items()
        if name in seen
    }


def _referenced(tables: Mapping[TableName, Table], owned: set[TableName]) -> set[TableName]:
    """Tables without owners that rows of owned tables point to, and so on upward."""
    referenced: set[TableName] = set()
    pending = set(owned)
    while pending:
        targets = {fk.target for name in pending for fk in tables[name].foreign_keys}
        pending = (targets & tables.keys()) - owned - referenced
        referenced |= pending
    return referenced


def _with_sources(entries: Mapping[TableName, Entry]) -> dict[TableName, Entry]:
    """The same entries, each with what brings its rows into `referencias`."""

    def can_be_reference(entry: Entry) -> bool:
        return entry.kind is TableClass.REFERENCED or (entry.kind is TableClass.OWNED and not entry.definite)

    sources: dict[TableName, list[Source]] = {name: [] for name in entries}
    pending = [(entry, True) for entry in entries.values() if entry.kind is TableClass.OWNED]
    while pending:
        entry, owned = pending.pop()
        for fk in entry.table.foreign_keys:
            if fk.target in entries and can_be_reference(entries[fk.target]):
                if not sources[fk.target]:
                    pending.append((entries[fk.target], False))
                sources[fk.target].append(Source(entry.name, fk, owned=owned))
    in_cycles = cycles({name: {s.table for s in found if not s.owned} for name, found in sources.items()})
    return {
        name: replace(entry, sources=tuple(sources[name]), reference_cycle=in_cycles.get(name, frozenset()))
        for name, entry in entries.items()
    }


def _ordered(tables: Mapping[TableName, Table]) -> list[TableName]:
    """Parents before children; where a cycle makes that impossible, by name."""
    ordered: dict[TableName, None] = {}

    for root in sorted(tables):
        stack = [(root, iter(_parents(tables, root)))]
        open_tables = {root}
        while stack:
            name, parents = stack[-1]
            parent = next((p for p in parents if p not in ordered and p not in open_tables), None)
            if parent is None:
                ordered[name] = None
                stack.pop()
            else:
                open_tables.add(parent)
                stack.append((parent, iter(_parents(tables, parent))))
    return list(ordered)


def _parents(tables: Mapping[TableName, Table], name: TableName) -> list[TableName]:
    return sorted({fk.target for fk in tables[name].foreign_keys if fk.target in tables})


def _model_name(name: TableName, schema: str | None) -> str:
    if name.schema in {"public", schema}:
        return MODEL_NAMES.get(name.name, name.name)
    return f"{name.schema}.{name.name}"


def _refuse_unwritable(entries: Iterable[Entry]) -> None:
    """Raise CatalogError for what the file has no way to hold."""
    by_model: dict[str, TableName] = {}
    for entry in entries:
        if not entry.recorded:
            continue
        if entry.table.column(JSON_NULL_KEY) is not None:
            raise CatalogError(f"la tabla «{entry.name}» tiene una columna «{JSON_NULL_KEY}», nombre reservado")
        other = by_model.setdefault(entry.model, entry.name)
        if other != entry.name:
            raise CatalogError(
                f"las tablas «{other}» y «{entry.name}» tendrían el mismo nombre en el respaldo,"
                f" «{entry.model}»; excluya una en EXCLUDE_TABLES"
            )
