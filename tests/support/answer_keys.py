"""The keys of a backup in the API's answers."""


def keys(listed: str) -> set[str]:
    """The names of a list, which commas separate."""
    return {name.strip() for name in listed.split(",")}


SUMMARY = keys(
    """id, clinica_id, fecha_respaldo, tamaño_bytes, tamaño_mb, numero_registros, estado, estado_display,
    tipo_respaldo, tipo_respaldo_display, descripcion, usuario, fecha_creacion, puede_restaurar, verificado,
    sospechoso, fecha_expiracion, respaldo_base_id, sin_cambios_desde, retenido, cifrado, clave_destruida,
    copias, solo_en_copia"""
)


DETAIL = SUMMARY | keys(
    """archivo_s3, hash_md5, tiempo_ejecucion, tiempo_ejecucion_segundos, metadata, usuario_nombre,
    fecha_actualizacion, progreso"""
)
