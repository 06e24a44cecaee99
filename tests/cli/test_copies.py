"""What the command line says of second copies."""

import json

from tests.support.platform import Platform


async def test_the_copies_that_are_missing_are_named(platform: Platform) -> None:
    copy = {"name": "oficina", "bucket": "copia", "endpoint_url": "http://127.0.0.1:9"}
    platform.settings["COPY_BUCKETS"] = json.dumps([copy | {"access_key_id": "a", "secret_access_key": "Secreta9"}])
    made = platform.run("crear", "--clinica", "1", "--json").json
    assert [each["estado"] for each in platform.run("ver", str(made["id"]), "--json").json["copias"]] == ["pendiente"]
    assert "Copia «oficina»" in platform.run("ver", str(made["id"])).out
    assert "Pendiente" in platform.run("listar").out
    told = platform.run("situacion")
    assert (told.code, "copias que faltan en «oficina»: 1" in told.err) == (0, True), told.err
    (lacking,) = platform.run("situacion", "--json").json["copias_faltantes"]
    assert (lacking["destino"], lacking["pendientes"], lacking["fallidas"]) == ("oficina", 1, 0)

    refused = platform.run("configurar-s3", "--copia", "otra")
    assert (refused.code, "«otra»" in refused.err) == (2, True)
    away = platform.run("configurar-s3", "--copia", "oficina")
    assert (away.code, "Secreta9" in away.out + away.err) == (1, False)

    del platform.settings["COPY_BUCKETS"]
    assert platform.run("situacion", "--json").json["copias_faltantes"] == [], "of what nobody wants any more"
