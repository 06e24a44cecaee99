"""A patient of a sample clinic who comes and goes."""

import asyncpg


async def add_patient(conn: asyncpg.Connection, clinica_id: int, nombre: str, apellido: str) -> int:
    """A patient with an appointment; her key."""
    code: int = await conn.fetchval(
        "INSERT INTO usuario (nombre, apellido, correoelectronico, idtipousuario, activo, notificaciones_email,"
        " notificaciones_push, fecha_registro, clinica_id) SELECT $1, $2, random() || '@x.example', min(id), true,"
        " true, true, now(), $3 FROM tipodeusuario RETURNING codigo",
        nombre,
        apellido,
        clinica_id,
    )
    await conn.execute(
        "INSERT INTO paciente (codusuario, carnetidentidad, direccion, alergias, clinica_id)"
        " VALUES ($1, $1::int || '-Z', 'Calle 1', '{}', $2)",
        code,
        clinica_id,
    )
    await add_appointment(conn, clinica_id, code, "Limpieza y control")
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


async def delete_patient(conn: asyncpg.Connection, code: int) -> None:
    """With the appointments."""
    await conn.execute("DELETE FROM consulta WHERE codpaciente = $1", code)
    await conn.execute("DELETE FROM paciente WHERE codusuario = $1", code)
    await conn.execute("DELETE FROM usuario WHERE codigo = $1", code)
