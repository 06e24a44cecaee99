"""What the API's page shows as an example of each shape. A test holds them to the schemas."""

from typing import Any, Final

RESPALDO_EN_LISTA: Final[dict[str, Any]] = {
    "id": 7,
    "clinica_id": 1,
    "fecha_respaldo": "2026-07-03T06:00:12+00:00",
    "tamaño_bytes": 1572864,
    "tamaño_mb": 1.5,
    "numero_registros": 15000,
    "estado": "completado",
    "estado_display": "Completado",
    "tipo_respaldo": "automatico",
    "tipo_respaldo_display": "Automático",
    "descripcion": "",
    "usuario": None,
    "fecha_creacion": "2026-07-03T06:00:00+00:00",
    "puede_restaurar": True,
    "verificado": {"fecha": "2026-07-05T07:00:00+00:00", "profundidad": "completa", "error": None},
    "sospechoso": False,
    "fecha_expiracion": "2026-08-02T06:00:12+00:00",
}

RESPALDO: Final[dict[str, Any]] = {
    **RESPALDO_EN_LISTA,
    "archivo_s3": "backups/1/2026/07/backup_20260703_020012.json.gz",
    "hash_md5": "9e107d9d372bb6826bd81d3542a419d6",
    "tiempo_ejecucion": "00:00:04.381000",
    "tiempo_ejecucion_segundos": 4.381,
    "metadata": {
        "modelos_respaldados": ["usuarios", "pacientes", "consultas"],
        "detalles_registros": {"usuarios": 40, "pacientes": 2960, "consultas": 12000},
        "tamaño_original_mb": 9.0,
        "tamaño_comprimido_mb": 1.5,
        "compresion_porcentaje": 83.3,
        "avisos": [],
    },
    "usuario_nombre": None,
    "fecha_actualizacion": "2026-07-05T07:00:00+00:00",
    "progreso": None,
}

PENDIENTE: Final[dict[str, Any]] = {
    **RESPALDO,
    "id": 8,
    "tamaño_bytes": 0,
    "tamaño_mb": 0.0,
    "numero_registros": 0,
    "estado": "pendiente",
    "estado_display": "Pendiente",
    "tipo_respaldo": "por_demanda",
    "tipo_respaldo_display": "Por demanda",
    "descripcion": "Antes de la actualización",
    "usuario": "12",
    "puede_restaurar": False,
    "fecha_expiracion": None,
    "verificado": None,
    "archivo_s3": None,
    "hash_md5": None,
    "tiempo_ejecucion": None,
    "tiempo_ejecucion_segundos": 0.0,
    "metadata": {
        "modelos_respaldados": [],
        "detalles_registros": {},
        "tamaño_original_mb": 0.0,
        "tamaño_comprimido_mb": 0.0,
        "compresion_porcentaje": 0.0,
        "avisos": [],
    },
    "usuario_nombre": "Ana María Peñaranda",
}

RESPALDO_CON_MENSAJE: Final[dict[str, Any]] = {
    "mensaje": "El respaldo empezará en un momento",
    "respaldo": PENDIENTE,
}

INGRESADO: Final[dict[str, Any]] = {
    "mensaje": "Inicio de sesión exitoso",
    "token": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMiJ9.x2Vq…",
    "expira_en_segundos": 28800,
    "usuario": {
        "codigo": 12,
        "nombre": "Ana María",
        "apellido": "Peñaranda",
        "nombre_completo": "Ana María Peñaranda",
        "correoelectronico": "admin@clinica1.example",
        "idtipousuario": 1,
        "tipo_usuario_nombre": "Administrador",
        "clinica_id": 1,
        "rol": "Administrador",
    },
}

TOKEN_VERIFICADO: Final[dict[str, Any]] = {
    "valido": True,
    "expira_en_segundos": 28740,
    "usuario": INGRESADO["usuario"],
}

ENLACE: Final[dict[str, Any]] = {
    "url": "https://respaldos.s3.us-east-1.amazonaws.com/backups/1/2026/07/backup_20260703_020012.json.gz?X-Amz-…",
    "expira_en_segundos": 3600,
    "archivo": "backup_20260703_020012.json.gz",
    "tamaño_mb": 1.5,
}

ESTADISTICAS: Final[dict[str, Any]] = {
    "total_respaldos": 92,
    "completados": 91,
    "fallidos": 1,
    "tamaño_total_mb": 136.5,
    "ultimo_respaldo": {"id": 7, "fecha": "2026-07-03T06:00:12+00:00", "tamaño_mb": 1.5},
    "tasa_exito": 98.9,
    "proximo_respaldo": "2026-07-04T06:00:00+00:00",
    "costo_mensual_estimado_usd": 0.001667,
    "serie": [
        {"dia": "2026-07-02", "estado": "fallido", "tamaño_mb": 0.0, "segundos": 0.0},
        {"dia": "2026-07-03", "estado": "completado", "tamaño_mb": 1.5, "segundos": 4.381},
    ],
    "situacion": "al_dia",
    "ultimo_bueno": {"id": 7, "fecha": "2026-07-03T06:00:12+00:00", "tamaño_mb": 1.5},
    "ultima_verificacion": {
        "respaldo_id": 5,
        "fecha": "2026-06-30T11:20:41+00:00",
        "profundidad": "ensayo",
        "error": None,
    },
    "fallos_seguidos": 0,
    "tamaño_almacenado_mb": 136.5,
    "precio_gb_mes_usd": 0.0125,
}

CLINICA_PROPIA: Final[dict[str, Any]] = {
    "clinica_id": 1,
    "nombre": "Clínica Dental Illimani — La Paz",
    "activa": True,
    "zona_horaria": "America/La_Paz",
    "respaldo_diario": "02:00",
    "puede_administrar": True,
}

CLINICA_EN_LISTA: Final[dict[str, Any]] = {
    "clinica_id": 3,
    "nombre": "Sonrisas del Tunari — Cochabamba",
    "activa": True,
    "zona_horaria": "America/La_Paz",
    "situacion": "atrasada",
    "ultimo_bueno": {"id": 4, "fecha": "2026-06-30T06:00:09+00:00", "tamaño_mb": 0.4},
    "ultima_verificacion": None,
    "en_curso": None,
    "fallos_seguidos": 3,
}

RESTAURACION: Final[dict[str, Any]] = {
    "id": 3,
    "respaldo_id": 7,
    "clinica_id": 1,
    "tipo": "restauracion",
    "profundidad": None,
    "estado": "completado",
    "simulada": True,
    "modelos": None,
    "registro": "pacientes:15",
    "destino": None,
    "con_accesos": False,
    "con_clinica": False,
    "progreso": None,
    "resultado": {
        "pacientes": {
            "insertados": 0,
            "actualizados": 1,
            "eliminados": 0,
            "ejemplos": {
                "actualizados": [
                    {
                        "clave": {"codusuario": 15},
                        "campos": {"direccion": {"antes": "Calle 9", "despues": "Av. Busch 1234"}},
                    }
                ]
            },
        },
        "consultas": {
            "insertados": 2,
            "actualizados": 0,
            "eliminados": 0,
            "ejemplos": {"insertados": [{"clave": {"id": 81}}, {"clave": {"id": 82}}]},
        },
    },
    "avisos": [],
    "respaldo_previo": None,
    "comparado_con": None,
    "error": None,
    "usuario": "12",
    "fecha_creacion": "2026-07-05T06:59:55+00:00",
    "fecha_fin": "2026-07-05T07:00:00+00:00",
}

EVENTO: Final[dict[str, Any]] = {
    "id": 41,
    "fecha": "2026-07-05T06:59:55.120000+00:00",
    "clinica_id": 1,
    "accion": "enlace_descarga",
    "respaldo_id": 7,
    "usuario": "12",
    "direccion": "203.0.113.9",
    "detalle": {"archivo": "backup_20260703_020012.json.gz", "segundos": 3600},
}

EVENTO_DE_CLINICA: Final[dict[str, Any]] = {**EVENTO, "usuario_nombre": "Ana María Peñaranda"}

BY_SCHEMA: Final = {
    "Ingresado": INGRESADO,
    "TokenVerificado": TOKEN_VERIFICADO,
    "RespaldoEnLista": RESPALDO_EN_LISTA,
    "RespaldoCompleto": RESPALDO,
    "RespaldoConMensaje": RESPALDO_CON_MENSAJE,
    "Enlace": ENLACE,
    "Estadisticas": ESTADISTICAS,
    "ClinicaPropia": CLINICA_PROPIA,
    "ClinicaEnLista": CLINICA_EN_LISTA,
    "RestauracionEnLista": RESTAURACION,
    "EventoEnLista": EVENTO,
    "EventoDeClinica": EVENTO_DE_CLINICA,
}
