"""Names that a table or a column may have."""

NAMES = [
    'Niño "x"',
    "select",
    "r",
    "t",
    "q",
    "línea\ncon salto",
    "a.b",
    "$1",
    "x1",
    "ñ" * 31 + "x",
    "🦷",
    "$jsonnull_",
]
