"""Values of every type, and reading a record back as docs/format.md says."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import asyncpg
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from app.clinic.session_settings import SESSION_SQL
from app.dump.document import JSON_NULL_KEY, ModelHeader

# Types of the test's own, in the order in which they need each other.
CREATE_TYPES = """
CREATE TYPE humor AS ENUM ('feliz', 'muy "triste"', 'a,b', E'ñ\\\\', 'NULL', '{}', E'\\u2028');
CREATE TYPE pareja AS (texto text, numero numeric);
CREATE TYPE ficha AS (t text, n numeric, b char(4), j jsonb, p pareja, l int[]);
CREATE TYPE tramo AS RANGE (subtype = text, collation = "C");
CREATE DOMAIN positivo AS int CHECK (value > 0);
CREATE DOMAIN obligatorio AS varchar(40) NOT NULL;
CREATE DOMAIN documento AS jsonb CHECK (value IS NOT NULL OR true);
CREATE DOMAIN documento_de_documento AS documento;
CREATE DOMAIN lista AS int[] CHECK (array_length(value, 1) < 9);
CREATE DOMAIN ficha_llena AS pareja;
CREATE DOMAIN animo AS humor;
"""

_characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
_text = st.one_of(
    st.text(_characters, max_size=30),
    st.sampled_from(
        [
            "",
            " ",
            "  dos  ",
            "NULL",
            "null",
            "\\N",
            "\\.",
            "\\",
            "\\\\",
            "\\n",
            '"',
            "''",
            "{}",
            "(,)",
            "a,b",
            "$$",
            "%s",
        ]
    ),
    st.sampled_from(
        ["\x01\x02\x1f\x7f", "\t\n\r\x0b\x0c\x08", "\u2028\u2029\ufeff", "🦷👩🏽‍⚕️", "ñÑ", "\U0010ffff", "</script>"]
    ),
)
_int = st.integers
_float = st.one_of(st.floats(), st.sampled_from([-0.0, 5e-324, 1.7976931348623157e308, float("nan"), float("-inf")]))
_float4 = st.floats(width=32)
_finite = st.floats(allow_nan=False, allow_infinity=False)


def _numeric(whole: int, fraction: int) -> SearchStrategy[str]:
    return st.builds(
        "{}{}.{}".format,
        st.sampled_from(["", "-"]),
        st.text("0123456789", min_size=1, max_size=whole),
        st.text("0123456789", min_size=1, max_size=fraction),
    )


_numerics = st.one_of(
    _numeric(60, 60), st.sampled_from(["NaN", "Infinity", "-Infinity", "0", "-0.00", "1e300", "1e-300", "1.10"])
)
_time = st.times().map(str)
_stamp = st.one_of(
    st.datetimes().map(str),
    st.builds("{:04}-02-03 04:05:06.7 BC".format, _int(1, 4712)),
    st.sampled_from(["infinity", "-infinity", "4713-01-01 00:00:00 BC", "294276-12-31 23:59:59.999999"]),
)
_date = st.one_of(
    st.dates().map(str), st.sampled_from(["infinity", "-infinity", "4714-11-24 BC", "5874897-12-31", "0001-01-01 BC"])
)
_offset = st.builds(
    "{}{:02}:{:02}:{:02}".format, st.sampled_from("+-"), _int(0, 15), _int(0, 59), st.sampled_from([0, 59])
)
_interval = st.one_of(
    st.builds(
        "{} mons {} days {} microseconds".format,
        _int(-(2**31) + 1, 2**31 - 1),
        _int(-(2**31), 2**31 - 1),
        _int(-(2**62), 2**62),
    ),
    st.builds("{} mons {} days {} microseconds".format, _int(-14, 14), _int(-40, 40), _int(-(10**9), 10**9)),
)
_point = st.builds("({!r},{!r})".format, _float, _float)
_corner = st.builds("({!r},{!r})".format, _finite, _finite)
_corners = st.lists(_corner, min_size=1, max_size=4).map(",".join)
_ip = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))
_hex = st.binary(max_size=40).map(lambda data: "\\x" + data.hex())


def _json(text: SearchStrategy[str]) -> SearchStrategy[Any]:
    return st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), _finite, text),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
        max_leaves=8,
    )


_jsonb = st.one_of(
    st.none(),
    _json(_text),
).map(lambda value: json.dumps(value, ensure_ascii=False)) | st.sampled_from(
    ["null", "[null]", "1.0", "1.00", "-0", "1e400", '"\\u2028"', '{"$jsonnull": null}', "[]", "{}", '{"": [1.0, 1]}']
)
_json_text = st.one_of(
    st.builds(
        lambda value, indent, ascii_: json.dumps(value, indent=indent, ensure_ascii=ascii_),
        _json(st.text(st.characters(exclude_categories=["Cs"]), max_size=9)),
        st.sampled_from([None, 0, 2]),
        st.booleans(),
    ),
    st.sampled_from(['{"a":1,\n\t"a" : 2}', "null", ' [ 1.0,1.00 , "\\u0000" ] ', '"\\/"', "-0.0e-5"]),
)


def _element(value: str | None) -> str:
    return "NULL" if value is None else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def array(values: Sequence[str | None], lower: int = 1) -> str:
    """An array's literal; `lower` is the first index."""
    bounds = f"[{lower}:{lower + len(values) - 1}]=" if lower != 1 and values else ""
    return bounds + "{" + ",".join(map(_element, values)) + "}"


def _arrays(element: SearchStrategy[str]) -> SearchStrategy[str]:
    plain = st.builds(array, st.lists(element | st.none(), max_size=4), _int(-5, 5))
    nested = st.builds(
        lambda a, b, c, d: "{{" + ",".join(map(_element, (a, b))) + "},{" + ",".join(map(_element, (c, d))) + "}}",
        *[element | st.none()] * 4,
    )
    return plain | nested


def _composite(*fields: SearchStrategy[str]) -> SearchStrategy[str]:
    return st.tuples(*(field | st.none() for field in fields)).map(
        lambda values: (
            "("
            + ",".join("" if v is None else '"' + v.replace("\\", "\\\\").replace('"', '""') + '"' for v in values)
            + ")"
        )
    )


def _range(element: SearchStrategy[Any]) -> SearchStrategy[str]:
    return st.one_of(
        st.sampled_from(["empty", "(,)"]),
        st.builds(
            lambda ends, left, right: f"{left}{ends[0]},{ends[1]}{right}",
            st.tuples(element, element).map(sorted),
            st.sampled_from("[("),
            st.sampled_from("])"),
        ),
        st.builds("[{},)".format, element),
    )


_lexemes = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=9)
_tsvector = st.lists(
    st.builds(
        lambda word, place: "'" + word.replace("\\", "\\\\").replace("'", "''") + "'" + place,
        _lexemes,
        st.sampled_from(["", ":1", ":2A,3B,16383C"]),
    ),
    max_size=4,
).map(" ".join)
_pairs = _composite(_text, _numerics)
_ints = _int(-(2**31), 2**31 - 1).map(str)

# What a column of each type is given, as the text that its input function reads.
VALUES: dict[str, SearchStrategy[str]] = {
    "text": _text,
    "varchar(50)": _text,
    "char(12)": st.text(_characters, max_size=12),
    "bpchar": _text,
    "name": _text,
    '"char"': st.sampled_from(["a", "", "\\", "'", '"', "\\377", "\\200", "\x01"]),
    "citado.texto": _text,
    "boolean": st.sampled_from(["true", "false"]),
    "smallint": _int(-(2**15), 2**15 - 1).map(str),
    "integer": _ints,
    "bigint": _int(-(2**63), 2**63 - 1).map(str),
    "real": _float4.map(repr),
    "double precision": _float.map(repr),
    "numeric": _numerics,
    "numeric(12,4)": _numeric(8, 4) | st.just("NaN"),
    "money": st.builds("{}.{:02}".format, _int(-(10**16), 10**16), _int(0, 99)),
    "oid": _int(0, 2**32 - 1).map(str),
    "xid8": _int(0, 2**64 - 1).map(str),
    "pg_lsn": st.builds("{:X}/{:X}".format, _int(0, 2**32 - 1), _int(0, 2**32 - 1)),
    "tid": st.builds("({},{})".format, _int(0, 2**32 - 2), _int(1, 2**16 - 1)),
    "regclass": st.sampled_from(["clinica", "pg_class", '"Con ""x"" y"']),
    "date": _date,
    "time": _time | st.just("24:00:00"),
    "time(3)": _time,
    "timetz": st.builds("{}{}".format, _time, _offset),
    "timestamp": _stamp,
    "timestamptz": _stamp,
    "timestamptz(0)": st.datetimes().map(str),
    "interval": _interval,
    "interval year to month": st.builds("{} mons".format, _int(-5000, 5000)),
    "uuid": st.uuids().map(str),
    "bytea": _hex,
    "bit(5)": st.text("01", min_size=5, max_size=5),
    "varbit": st.text("01", max_size=70),
    "inet": st.builds("{}/{}".format, _ip, _int(0, 32)) | _ip.map(str),
    "cidr": _ip.map(str),
    "macaddr": st.binary(min_size=6, max_size=6).map(bytes.hex),
    "macaddr8": st.binary(min_size=8, max_size=8).map(bytes.hex),
    "point": _point,
    "line": st.builds("{{1,{!r},{!r}}}".format, _finite, _finite),
    "lseg": st.builds("[{},{}]".format, _corner, _corner),
    "box": st.builds("{},{}".format, _corner, _corner),
    "path": _corners.map("[{}]".format) | _corners.map("({})".format),
    "polygon": _corners.map("({})".format),
    "circle": st.builds("<{},{!r}>".format, _corner, st.floats(0, 1e300)),
    "tsvector": _tsvector,
    "tsquery": st.sampled_from(["a & !b <3> c:*AB", "'it''s' | 'b\\\\c'", "!(a <-> 'ñ ñ')"]),
    "jsonpath": st.sampled_from(['$."a"[*]?(@ > 1.0)', "strict $", '$.ñ ? (@ like_regex "^a\\"")']),
    "json": _json_text,
    "jsonb": _jsonb,
    "documento": _jsonb,
    "documento_de_documento": _jsonb,
    "integer[]": _arrays(_ints),
    "text[]": _arrays(_text),
    "char(3)[]": _arrays(st.text(_characters, max_size=3)),
    "numeric[]": _arrays(_numerics),
    "double precision[]": _arrays(_float.map(repr)),
    "timestamptz[]": _arrays(_stamp),
    "bytea[]": _arrays(_hex),
    "json[]": _arrays(_json_text),
    "jsonb[]": _arrays(_jsonb),
    "humor[]": _arrays(st.sampled_from(["feliz", "a,b", "NULL", "{}"])),
    "pareja[]": _arrays(_pairs),
    "documento[]": _arrays(_jsonb),
    "int2vector": st.lists(_int(-9, 9).map(str), max_size=3).map(" ".join),
    "int4range": _range(_int(-(10**6), 10**6)),
    "numrange": _range(st.decimals(-(10**9), 10**9, places=5)),
    "tstzrange": _range(st.datetimes().map('"{}"'.format)),
    "tramo": _range(st.text("abc", min_size=1, max_size=3)),
    "int4range[]": _arrays(_range(_int(-9, 9))),
    "int4multirange": st.lists(_range(_int(-99, 99)), max_size=3).map(lambda parts: "{" + ",".join(parts) + "}"),
    "humor": st.sampled_from(["feliz", 'muy "triste"', "a,b", "ñ\\", "NULL", "{}", "\u2028"]),
    "animo": st.sampled_from(["feliz", "NULL"]),
    "pareja": _pairs,
    "ficha_llena": _pairs,
    "ficha": _composite(_text, _numerics, st.text(_characters, max_size=4), _jsonb, _pairs, _arrays(_ints)),
    "lista": st.builds(array, st.lists(_ints | st.none(), max_size=5), _int(-5, 5)),
    "positivo": _int(1, 2**31 - 1).map(str),
    "obligatorio": _text,
    "vector(3)": st.builds("[{},{},{}]".format, *[st.floats(-(2.0**99), 2.0**99, width=32)] * 3),
}

NOT_NULL = {"obligatorio"}

# Text that PostgreSQL would cut to the type's length is cut by a cast, as it is when the value is made.
ROW: SearchStrategy[tuple[str | None, ...]] = st.tuples(
    *(
        strategy if type_ in NOT_NULL else st.one_of(strategy, strategy, strategy, strategy, st.none())
        for type_, strategy in VALUES.items()
    )
)


def quoted(name: str) -> str:
    """An SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def reading(header: ModelHeader) -> str:
    """The SELECT by which docs/format.md reads one record, the parameter $1, back into the table's columns."""
    values, columns = [], [f"{quoted(JSON_NULL_KEY)} jsonb"]
    for column in header.columns:
        name = quoted(column.name)
        if column.form == "jsonb":
            key = "'" + column.name.replace("'", "''") + "'"
            columns.append(f"{name} json")
            values.append(
                f"(CASE WHEN x.{quoted(JSON_NULL_KEY)} ? {key} THEN 'null' ELSE x.{name}::text END)::{column.type}"
            )
        else:
            columns.append(f"{name} text")
            values.append(f"x.{name}::{column.type}")
    return f"SELECT {', '.join(values)} FROM json_to_record($1::json) AS x({', '.join(columns)})"


async def read_back(sql: asyncpg.Connection, header: ModelHeader, lines: list[str], into: str) -> None:
    """Write records into a table of the same shape, in a session set as docs/format.md says."""
    await sql.execute(SESSION_SQL)
    columns = ", ".join(quoted(column.name) for column in header.columns)
    statement = f"INSERT INTO {into} ({columns}) OVERRIDING SYSTEM VALUE {reading(header)}"
    await sql.executemany(statement, [(line,) for line in lines])


async def images(sql: asyncpg.Connection, table: str, columns: Iterable[str]) -> list[dict[str, Any]]:
    """Every value of a table by its binary form, its text and its size: equal only where nothing differs."""
    shown = [
        f"jsonb_build_array(encode(record_send(ROW({name})), 'hex'), {name}::text, pg_column_size({name})) AS {name}"
        for name in map(quoted, columns)
    ]
    return [dict(row) for row in await sql.fetch(f"SELECT {', '.join(shown)} FROM {table} ORDER BY {table}.id")]
