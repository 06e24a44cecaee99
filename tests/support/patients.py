"""A patient who is easily found: their name is in `usuario`, the number of their card in `paciente`."""

import asyncpg

from tests.respaldos.conftest import SMALL

# A name that nobody of the sample has.
NAME, FAMILY, CARD = "Zacarías", "Ñandúquispe", "99887766"


async def add_patient(
    conn: asyncpg.Connection, clinica_id: int = SMALL, nombre: str = NAME, apellido: str = FAMILY
) -> int:
    """A patient of that name; their key."""
    code: int = await conn.fetchval(
        "INSERT INTO usuario (nombre, apellido, correoelectronico, idtipousuario, activo, notificaciones_email,"
        " notificaciones_push, fecha_registro, clinica_id) SELECT $1, $2, $3 || random(), min(id), true, true, true,"
        " now(), $4 FROM tipodeusuario RETURNING codigo",
        nombre,
        apellido,
        "z@x.example",
        clinica_id,
    )
    await conn.execute(
        "INSERT INTO paciente (codusuario, carnetidentidad, direccion, alergias, clinica_id)"
        " VALUES ($1, $2, 'Calle 1', '{Penicilina}', $3)",
        code,
        CARD if nombre == NAME else f"{CARD}-{code}",
        clinica_id,
    )
    return code


async def add_appointment(conn: asyncpg.Connection, clinica_id: int, code: int, motivo: str) -> int:
    """An appointment of the patient's, like one that the clinic has; its key."""
    made: int = await conn.fetchval(
        "INSERT INTO consulta (fecha, codpaciente, cododontologo, codrecepcionista, idhorario, idtipoconsulta,"
        " idestadoconsulta, motivo, observaciones, creado) SELECT current_date, $1, cododontologo, codrecepcionista,"
        " idhorario, idtipoconsulta, idestadoconsulta, $2, '', now() FROM consulta"
        " JOIN usuario ON codpaciente = codigo WHERE clinica_id = $3 ORDER BY id LIMIT 1 RETURNING id",
        code,
        motivo,
        clinica_id,
    )
    return made


async def remove_patient(conn: asyncpg.Connection, code: int) -> None:
    """Have nothing left of them, or of their appointments."""
    await conn.execute("DELETE FROM consulta WHERE codpaciente = $1", code)
    await conn.execute("DELETE FROM paciente WHERE codusuario = $1", code)
    await conn.execute("DELETE FROM usuario WHERE codigo = $1", code)
