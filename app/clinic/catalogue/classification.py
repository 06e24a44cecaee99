"""Classifies every table of the clinic database by its columns, its foreign keys and the settings."""

from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from dataclasses import replace
from graphlib import TopologicalSorter

from app.clinic.catalogue.entries import (
    ByColumn,
    ByForeignKey,
    ByLink,
    ByRule,
    Candidate,
    Catalogue,
    Entry,
    Source,
    TableClass,
    WholeTable,
)
from app.clinic.catalogue.introspection import ForeignKey, Introspection, Table, TableName
from app.clinic.clinic import Tenancy
from app.clinic.people.access import DJANGO, access_tables, is_secret
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

UNKNOWN_OWNERS = "de cuyos registros no se sabe de quién son"


def build_catalogue(
    introspection: Introspection,
    tenancy: Tenancy,
    *,
    schema: str | None,
    text: str,
    rules: Mapping[TableName, ByRule | ByLink] | None = None,
    problems: Mapping[TableName, str] | None = None,
) -> Catalogue:
    """Classify every table. `schema` is the clinic's own, in tenancy `schema`.

    `rules` are those of OWNERSHIP_RULES as `parse_rules` gives them; a table of `problems` (what is wrong with its
    rule) is unclassified, and so is what nothing but such a table ties to an owner.

    Raises CatalogError where there is no one tenant table, a setting names what is not there, or two tables would
    have one name in the file.
    """
    tables = introspection.tables
    excludable = {*tables, *introspection.foreign_tables}
    excluded = {_find(excludable, name, "EXCLUDE_TABLES", schema) for name in tenancy.exclude}
    shared, parsed, wrong = parse_rules(introspection, tenancy, schema)
    broken = {**wrong, **(problems or {})}
    rules = {name: rule for name, rule in {**parsed, **(rules or {})}.items() if name not in broken}
    tenant_table, tenant_key = find_tenant_table(introspection, tenancy)
    if schema is not None and not any(name.schema == schema for name in tables):
        raise CatalogError(f"el esquema «{schema}» de la clínica no existe o no tiene ninguna tabla")
    access = access_tables(tables, tenancy.access)
    # In the clinic's own schema they are its own.
    platforms = {name for name in access if is_secret(name) or schema is None or name.schema != schema}

    def says_whose(name: TableName) -> bool:
        """Whether it is known which of a shared access table's rows are the logins of a clinic's people."""
        gives_privileges = any(fk.target in access for fk in tables[name].foreign_keys)
        return not (is_secret(name) or gives_privileges) and (
            name in rules
            or name in broken
            or _tenant_column(tables[name], tenancy, tenant_table, tenant_key) is not None
        )

    def unfit(target: TableName) -> str:
        """Why no link can lead to that table, in words."""
        if target in broken:
            return UNKNOWN_OWNERS
        if target in rules:
            return "cuyo dueño dice otra regla"
        if target in shared:
            return "que es de todas las clínicas"
        if target in excluded:
            return "que está excluida"
        return "que no dice en una columna suya de qué clínica es"

    described = {
        name: table
        for name, table in tables.items()
        if name not in excluded
        and name.name not in MIGRATION_TABLES
        and (name not in platforms or (says_whose(name) and name not in shared))
    }

    stated: dict[TableName, Candidate] = {}
    final = {tenant_table}
    for name, table in described.items():
        if name in rules:
            stated[name] = rules[name]
            final.add(name)
        elif name in broken or name in shared:
            continue
        elif name == tenant_table:
            stated[name] = ByColumn(tenant_key)
        elif schema is not None and name.schema == schema:
            stated[name] = WholeTable()
            final.add(name)
        elif (column := _tenant_column(table, tenancy, tenant_table, tenant_key)) is not None:
            stated[name] = ByColumn(column)

    # Rows of the shared schema are never a clinic's because they point into its own schema: there is no such key.
    follows = {
        name: table
        for name, table in described.items()
        if name not in shared and (schema is None or name.schema != schema)
    }
    # Tables with a problem have their place among the others' ways, though nothing is found by it.
    distances = _distances(described, {*stated, *(broken.keys() & described.keys())}, follows)
    ways = {
        name: tuple(_candidates(described[name], stated.get(name), name in final, distances, tenant_table))
        for name in distances
        if name not in broken
    }
    candidates, lost = _without_doubt(ways, described, broken)
    if astray := {
        name: f"OWNERSHIP_RULES: el enlace de «{name}» lleva a «{rule.target}», {unfit(rule.target)}"
        for name, rule in rules.items()
        if isinstance(rule, ByLink)
        and name in candidates
        and not isinstance(candidates.get(rule.target, (None,))[0], ByColumn)
    }:
        return build_catalogue(
            introspection, tenancy, schema=schema, text=text, rules=rules, problems={**broken, **astray}
        )
    referenced = _referenced(described, set(candidates))
    entries = {}
    for name in _ordered(tables):
        kind = (
            TableClass.EXCLUDED
            if name in excluded
            else TableClass.ACCESS
            if name in platforms
            else TableClass.MIGRATIONS
            if name not in described
            else TableClass.OWNED
            if name in candidates
            else TableClass.UNCLASSIFIED
            if name in broken or name in lost
            else TableClass.REFERENCED
            if schema is not None or name in referenced or name in shared
            else TableClass.UNCLASSIFIED
        )
        entries[name] = Entry(
            table=tables[name],
            model="",
            kind=kind,
            candidates=candidates.get(name, ()),
            access=name in access,
            overruled=tenancy.column if name in rules and _has_tenant_column(tables[name], tenancy) else None,
        )
    foreign_tables = tuple(name for name in introspection.foreign_tables if name not in excluded)
    catalogue = narrowed(
        Catalogue(
            entries=entries,
            tenant_table=tenant_table,
            tenant_key=tenant_key,
            schema=schema,
            schema_column=tenancy.schema_column if tenancy.kind == "schema" else None,
            postgresql=introspection.postgresql,
            foreign_tables=foreign_tables,
            guessed=tuple(
                name
                for name in sorted(access - excluded)
                if name.name not in DJANGO and not {name.name, ".".join(name)} & set(tenancy.access)
            ),
            problems={**broken, **lost},
            text=text,
        ),
        {},
    )
    catalogue = replace(catalogue, entries=_named(catalogue.entries, schema))
    refuse_unwritable(entry for entry in catalogue.entries.values() if entry.recorded)
    return catalogue


def shared_tenancy(introspection: Introspection, tenancy: Tenancy) -> Tenancy:
    """The settings without what they say of tables that only the clinics' own schemas have (tenancy `schema`)."""
    there = {*introspection.tables, *introspection.foreign_tables}

    def known(text: str) -> bool:
        return any(name in there for name in _names(text, None))

    rules = {
        text: rule
        for text, rule in tenancy.rules.items()
        if known(text)
        and (isinstance(rule, str) or all(known(target.rpartition(".")[0]) for target in rule.values()))
    }
    return replace(tenancy, exclude=tuple(filter(known, tenancy.exclude)), rules=rules)


def parse_rules(
    introspection: Introspection, tenancy: Tenancy, schema: str | None
) -> tuple[set[TableName], dict[TableName, ByRule | ByLink], dict[TableName, str]]:
    """OWNERSHIP_RULES: the shared tables, the rules, and what is wrong with the rules that cannot be followed.

    Raises CatalogError where it names a table that does not exist, or one twice.
    """
    shared: set[TableName] = set()
    rules: dict[TableName, ByRule | ByLink] = {}
    problems: dict[TableName, str] = {}
    named: dict[TableName, str] = {}
    for text, rule in tenancy.rules.items():
        name = _find(introspection.tables, text, "OWNERSHIP_RULES", schema)
        if name in named:
            raise CatalogError(f"OWNERSHIP_RULES da dos reglas a la tabla «{name}»: «{named[name]}» y «{text}»")
        named[name] = text
        if rule == SHARED_RULE:
            shared.add(name)
        elif isinstance(rule, str):
            rules[name] = ByRule(rule)
        else:
            try:
                rules[name] = _link(introspection, tenancy, schema, introspection.tables[name], rule)
            except CatalogError as exc:
                problems[name] = str(exc)
    return shared, rules, problems


def _link(
    introspection: Introspection, tenancy: Tenancy, schema: str | None, table: Table, link: Mapping[str, str]
) -> ByLink:
    def wrong(why: str) -> CatalogError:
        return CatalogError(f"OWNERSHIP_RULES: el enlace de «{table.name}» {why}")

    if len(link) != 1:
        raise wrong('tiene que ser de una sola columna, por ejemplo {"email": "usuario.correoelectronico"}')
    ((name, text),) = link.items()
    own = table.column(name)
    if own is None:
        raise wrong(f"nombra la columna «{name}», que «{table.name}» no tiene")
    path, _, target_name = text.rpartition(".")
    if not path:
        raise wrong(f"lleva a «{text}», y se escribe tabla.columna")
    try:
        target = introspection.tables[_find(introspection.tables, path, "OWNERSHIP_RULES", schema)]
    except CatalogError:
        raise wrong(f"lleva a «{text}»: no existe la tabla «{path}»") from None
    column = target.column(target_name)
    if column is None:
        raise wrong(f"lleva a «{text}»: «{target.name}» no tiene la columna «{target_name}»")
    tenant_table, tenant_key = find_tenant_table(introspection, tenancy)
    if target.name == tenant_table or _tenant_column(target, tenancy, tenant_table, tenant_key) is None:
        raise wrong(f"lleva a «{target.name}», que no dice en una columna suya de qué clínica es")
    if own.collated != column.collated:
        raise wrong(f"une «{name}», de tipo {own.type}, con «{text}», de tipo {column.type}")
    return ByLink(name, target.name, target_name, folded=own.collated)


def _tenant_column(table: Table, tenancy: Tenancy, tenant_table: TableName, tenant_key: str) -> str | None:
    """The column that says the clinic of the table's rows: the tenant column, else a key to the table of clinics."""
    column = table.column(tenancy.column)
    if tenancy.kind == "column" and column is not None and not _points_elsewhere(table, tenancy.column, tenant_table):
        if not column.number:
            raise CatalogError(
                f"la columna «{column.name}» de «{table.name}» es de tipo {column.type} y debería ser un número de"
                " clínica; use OWNERSHIP_RULES o EXCLUDE_TABLES"
            )
        return column.name
    keys = [fk for fk in table.foreign_keys if fk.target == tenant_table and fk.target_columns == (tenant_key,)]
    return (
        min(keys, key=lambda fk: (fk.optional, fk.name)).columns[0] if keys and table.name != tenant_table else None
    )


def _has_tenant_column(table: Table, tenancy: Tenancy) -> bool:
    column = table.column(tenancy.column)
    return tenancy.kind == "column" and column is not None and column.number


def undecided(catalogue: Catalogue, nulls: Mapping[tuple[TableName, str], bool]) -> set[tuple[TableName, str]]:
    """Columns of which it matters, and is not yet known, whether they hold a NULL. `nulls` is what is known."""
    definite = _definite(catalogue, nulls)
    asked = set()
    for entry in catalogue.with_owners():
        for way in entry.candidates:
            if _decides(entry, way, nulls, definite, catalogue.tenant_table):
                break
            unknown = {
                (entry.name, name)
                for name in _columns_of(way)
                if (entry.name, name) not in nulls and _nullable(entry.table, name)
            }
            asked |= unknown
            if unknown and isinstance(way, ByColumn):
                break
    return asked


def narrowed(catalogue: Catalogue, nulls: Mapping[tuple[TableName, str], bool]) -> Catalogue:
    """The catalogue for the moment in which `nulls` is true: a nullable column without NULL is as good as NOT NULL.

    The ways to an owner keep their order, which no row may change; those after one that always decides are left out,
    and so is all that is there for rows without owner in a table that has none.
    """
    definite = _definite(catalogue, nulls)
    entries = dict(catalogue.entries)
    for entry in catalogue.with_owners():
        ways = []
        for way in entry.candidates:
            ways.append(way)
            if _decides(entry, way, nulls, definite, catalogue.tenant_table):
                break
        entries[entry.name] = replace(entry, candidates=tuple(ways), definite=entry.name in definite)
    in_cycles = cycles({entry.name: entry.owner_tables for entry in entries.values() if entry.candidates})
    entries = {name: replace(e, cycle=in_cycles.get(name, frozenset())) for name, e in entries.items()}
    return replace(catalogue, entries=_with_sources(entries))


def _definite(catalogue: Catalogue, nulls: Mapping[tuple[TableName, str], bool]) -> set[TableName]:
    """The tables of which every row has an owner."""
    definite: set[TableName] = set()
    while found := {
        entry.name
        for entry in catalogue.with_owners()
        if entry.name not in definite
        and any(_decides(entry, way, nulls, definite, catalogue.tenant_table) for way in entry.candidates)
    }:
        definite |= found
    return definite


def _decides(
    entry: Entry,
    way: Candidate,
    nulls: Mapping[tuple[TableName, str], bool],
    definite: set[TableName],
    tenant_table: TableName,
) -> bool:
    """Whether the way gives every row of the table an owner."""

    def filled(name: str) -> bool:
        return not _nullable(entry.table, name) or nulls.get((entry.name, name)) is False

    match way:
        case WholeTable():
            return True
        case ByColumn(column):
            return entry.name == tenant_table or filled(column)
        case ByForeignKey(fk):
            return fk.validated and fk.target in definite and all(map(filled, fk.columns))
        case ByRule() | ByLink():
            return False


def _columns_of(way: Candidate) -> tuple[str, ...]:
    match way:
        case ByColumn(column):
            return (column,)
        case ByForeignKey(fk):
            return fk.columns if fk.validated else ()
        case WholeTable() | ByRule() | ByLink():
            return ()


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
    for name in _names(text, schema):
        if name in tables:
            return name
    raise CatalogError(f"{setting} nombra la tabla «{text}», que no existe")


def _names(text: str, schema: str | None) -> Iterator[TableName]:
    """What the words of a setting may mean, the likeliest first."""
    if schema is not None:
        yield TableName(schema, text)
    yield TableName("public", text)
    if "." in text:
        yield TableName(*text.split(".", 1))


def _distances(
    tables: Mapping[TableName, Table], stated: Iterable[TableName], follows: Collection[TableName]
) -> dict[TableName, int]:
    """For each table that can have owners, the fewest foreign keys from it to a table that states them."""
    distances = dict.fromkeys(stated, 0)
    unreached = set(follows) - distances.keys()
    step = 0
    while True:
        step += 1
        reached = {
            name
            for name in unreached
            if any(fk.target in distances and fk.target in follows for fk in tables[name].foreign_keys)
        }
        if not reached:
            return distances
        distances.update(dict.fromkeys(reached, step))
        unreached -= reached


def _candidates(
    table: Table,
    stated: Candidate | None,
    final: bool,
    distances: Mapping[TableName, int],
    tenant_table: TableName,
) -> Iterator[Candidate]:
    """The ways to the table's owner in their order."""
    if stated is not None:
        yield stated
        if final:
            return
    for fk in sorted(
        (fk for fk in table.foreign_keys if fk.target in distances),
        key=lambda fk: (fk.optional, distances[fk.target], fk.name),
    ):
        if fk.target == tenant_table and isinstance(stated, ByColumn) and fk.columns == (stated.column,):
            continue
        yield ByForeignKey(fk)


def _without_doubt(
    ways: Mapping[TableName, tuple[Candidate, ...]],
    tables: Mapping[TableName, Table],
    problems: Container[TableName],
) -> tuple[dict[TableName, tuple[Candidate, ...]], dict[TableName, str]]:
    """The ways that can be followed, and what is wrong with each table that has none left.

    Where one may give no owner just because a table it leads to has a problem, the ways after it say nothing: they
    would make the row another clinic's. It stays nobody's.
    """
    doubtful = {name for name in tables if name in problems}

    def leads_to(way: Candidate, names: Container[TableName]) -> bool:
        return isinstance(way, ByForeignKey) and way.foreign_key.target in names

    def decides(name: TableName, way: Candidate) -> bool:
        return isinstance(way, ByColumn) and not _nullable(tables[name], way.column)

    followed = {name: some[:1] if decides(name, some[0]) else some for name, some in ways.items()}
    while more := {
        name
        for name, some in followed.items()
        if name not in doubtful and any(leads_to(way, doubtful) for way in some)
    }:
        doubtful |= more
    for name, some in followed.items():
        upto = next((number for number, way in enumerate(some, 1) if leads_to(way, doubtful)), len(some))
        followed[name] = some[:upto]
    reached: set[TableName] = set()
    while more := {
        name
        for name, some in followed.items()
        if name not in reached and any(not isinstance(way, ByForeignKey) or leads_to(way, reached) for way in some)
    }:
        reached |= more
    return (
        {
            name: tuple(way for way in some if not isinstance(way, ByForeignKey) or leads_to(way, reached))
            for name, some in followed.items()
            if name in reached
        },
        {
            name: f"{name}: su dueño lo dice «{way.foreign_key.target}», {UNKNOWN_OWNERS}"
            for name, some in followed.items()
            for way in some[:1]
            if name not in reached and isinstance(way, ByForeignKey)
        },
    )


def _points_elsewhere(table: Table, column: str, tenant_table: TableName) -> bool:
    """Whether a column with the tenant column's name holds the key of another table than the clinics'."""
    targets = {fk.target for fk in table.foreign_keys if fk.columns == (column,)}
    return bool(targets) and tenant_table not in targets


def _nullable(table: Table, name: str) -> bool:
    column = table.column(name)
    return column is None or column.nullable


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


def grouped(parents: Mapping[TableName, set[TableName]]) -> list[frozenset[TableName]]:
    """The tables after those that they depend on, those that depend on each other together."""
    together = cycles(parents)
    group_of = {name: together.get(name, frozenset({name})) for name in parents}
    order: TopologicalSorter[frozenset[TableName]] = TopologicalSorter()
    for name, targets in parents.items():
        order.add(group_of[name], *({group_of[target] for target in targets} - {group_of[name]}))
    return list(order.static_order())


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
        if entry.kind is TableClass.ACCESS:
            return not is_secret(entry.name)
        return entry.kind is TableClass.REFERENCED or (entry.kind is TableClass.OWNED and not entry.definite)

    sources: dict[TableName, list[Source]] = {name: [] for name in entries}
    pending = [(entry, True) for entry in entries.values() if entry.kind is TableClass.OWNED]
    while pending:
        entry, owned = pending.pop()
        for fk in entry.table.foreign_keys:
            if fk.target in entries and can_be_reference(entries[fk.target]):
                # What a login points to is in no file.
                if not sources[fk.target] and entries[fk.target].kind is not TableClass.ACCESS:
                    pending.append((entries[fk.target], False))
                sources[fk.target].append(Source(entry.name, fk, owned=owned))
    return {name: replace(entry, sources=tuple(sources[name])) for name, entry in entries.items()}


def without_sources(catalogue: Catalogue, pointing: Collection[tuple[TableName, ForeignKey]]) -> Catalogue:
    """The same catalogue where, of the keys to tables with owners, only these lead a clinic's row to one not its own.

    What nothing points to is in no `referencias`, nor is what only that would point to.
    """

    def is_live(entry: Entry, source: Source, live: Container[TableName]) -> bool:
        if not source.owned:
            return source.table in live
        return entry.kind is not TableClass.OWNED or (source.table, source.foreign_key) in pointing

    live: set[TableName] = set()
    while more := {e.name for e in catalogue.entries.values() if any(is_live(e, s, live) for s in e.sources)} - live:
        live |= more
    entries = {
        name: replace(entry, sources=tuple(s for s in entry.sources if is_live(entry, s, live)))
        for name, entry in catalogue.entries.items()
    }
    return replace(catalogue, entries=entries)


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


def _named(entries: Mapping[TableName, Entry], schema: str | None) -> dict[TableName, Entry]:
    """The same entries, each with its model's name: with the schema, too, where the table's name says too little."""
    own = {name.name for name in entries if name.schema == schema}
    return {
        name: replace(
            entry,
            model=MODEL_NAMES.get(name.name, name.name)
            if name.schema == schema or (name.schema == "public" and name.name not in own)
            else ".".join(name),
        )
        for name, entry in entries.items()
    }


def refuse_unwritable(entries: Iterable[Entry]) -> None:
    """Raise CatalogError where a file has no way to hold all of these."""
    by_model: dict[str, TableName] = {}
    for entry in entries:
        if entry.table.column(JSON_NULL_KEY) is not None:
            raise CatalogError(f"la tabla «{entry.name}» tiene una columna «{JSON_NULL_KEY}», nombre reservado")
        other = by_model.setdefault(entry.model, entry.name)
        if other != entry.name:
            raise CatalogError(
                f"las tablas «{other}» y «{entry.name}» tendrían el mismo nombre en el respaldo,"
                f" «{entry.model}»; excluya una en EXCLUDE_TABLES"
            )
