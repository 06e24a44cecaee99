import type { Accion, Estado, Evento, Formato, Modo, Profundidad, Situacion, TipoRespaldo } from "../api/client";

/** The service's own terms in the words of the people who use it. */

export type Tone = "good" | "warn" | "bad" | "busy" | "plain";

export const ESTADO: Record<Estado, { word: string; tone: Tone }> = {
  pendiente: { word: "En espera", tone: "busy" },
  procesando: { word: "En curso", tone: "busy" },
  completado: { word: "Completado", tone: "good" },
  fallido: { word: "Falló", tone: "bad" },
  cancelado: { word: "Cancelado", tone: "plain" },
};

export const TIPO: Record<TipoRespaldo, string> = {
  automatico: "De cada noche",
  por_demanda: "A pedido",
  manual: "De soporte",
  punto: "Durante el día",
};

export const SITUACION: Record<Situacion, { word: string; tone: Tone }> = {
  sin_respaldo: { word: "Sin ningún respaldo", tone: "bad" },
  atrasada: { word: "Atrasada", tone: "bad" },
  fallando: { word: "Fallando", tone: "bad" },
  sin_verificar: { word: "Sin comprobar", tone: "warn" },
  al_dia: { word: "Al día", tone: "good" },
  inactiva: { word: "Inactiva", tone: "plain" },
};

export const PROFUNDIDAD: Record<Profundidad, { word: string; short: string; explained: string }> = {
  rapida: { word: "Rápida", short: "rápida", explained: "El archivo está y tiene su tamaño." },
  completa: { word: "Completa", short: "completa", explained: "Se lee el archivo entero y se compara con lo que se guardó." },
  ensayo: {
    word: "Prueba de recuperación",
    short: "con prueba",
    explained: "Se recupera todo aparte, sin tocar sus datos, y se borra.",
  },
};

/** What the data can be taken away for, first what most people have. */
export const FORMATO: Record<Formato, { word: string; explained: string }> = {
  excel: {
    word: "Para Excel",
    explained: "Una planilla por cada cosa (pacientes, consultas, pagos…), que se abre con doble clic.",
  },
  csv: { word: "CSV", explained: "Las mismas planillas con los datos tal cual, para llevarlos a otro sistema." },
  sqlite: { word: "SQLite", explained: "Un solo archivo con todo, para quien sabe hacer consultas." },
  parquet: { word: "Parquet", explained: "Para Power BI y otros programas que analizan datos." },
  json: {
    word: "El respaldo mismo",
    explained: "El archivo del respaldo, descifrado si estaba cifrado: para guardarlo en otro lugar.",
  },
};

/** What a restore brings back, in the order in which it touches more. */
export const MODO: Record<Modo, { word: string; explained: string }> = {
  faltantes: { word: "Solo lo que falta", explained: "No toca nada más: lo que hay hoy sigue como está." },
  cambiados: {
    word: "También lo que cambió",
    explained: "Lo que hoy es distinto queda como estaba entonces. No se quita nada.",
  },
  todo: {
    word: "Exactamente como estaba entonces",
    explained: "También se quita lo que se anotó después, por ejemplo las consultas nuevas.",
  },
};

export const ACCION: Record<Accion, string> = {
  creacion: "pidió el respaldo",
  cancelacion: "canceló el respaldo",
  enlace_descarga: "pidió el enlace para descargar el archivo",
  descarga: "descargó el archivo",
  verificacion: "comprobó el respaldo",
  restauracion: "restauró este respaldo",
  comparacion: "comparó este respaldo con otro",
  exportacion: "exportó los datos",
  eliminacion: "eliminó el respaldo",
  recuperacion: "recuperó el respaldo eliminado",
  aceptacion: "aceptó el respaldo",
  retencion: "retuvo el respaldo, para que no se elimine",
  liberacion: "liberó el respaldo retenido",
  reindexacion: "registró de nuevo el archivo",
  ingreso: "ingresó",
  salida: "terminó su sesión",
  cierre_sesiones: "cerró las sesiones de una persona",
  creacion_clave: "creó una clave para un programa",
  revocacion_clave: "revocó la clave de un programa",
  emision_token: "hizo un token de acceso",
  ingreso_rechazado: "no pudo ingresar",
  programacion: "cambió cada cuánto se respalda de día",
  purga: "borró el archivo del respaldo eliminado",
  politica: "cambió cuándo se respalda, qué se guarda o a quién se avisa",
  destruccion_clave: "pidió o confirmó destruir la clave con que se cifra",
  rotacion_claves: "cambió la clave maestra que guarda la de la clínica",
  acceso_rechazado: "intentó algo que no puede hacer",
};

const RESTAURACION: Partial<Record<string, string>> = {
  pendiente: "pidió restaurar este respaldo",
  completado: "restauró este respaldo",
  fallido: "no pudo restaurar este respaldo: nada cambió",
};
const VISTA_PREVIA: Partial<Record<string, string>> = {
  pendiente: "pidió ver qué cambiaría al restaurar",
  completado: "vio qué cambiaría al restaurar",
  fallido: "no pudo ver qué cambiaría al restaurar",
};

const EXPORTACION: Partial<Record<string, string>> = {
  pendiente: "pidió exportar los datos",
  completado: "tiene listos los datos exportados",
  fallido: "no pudo exportar los datos",
  cancelado: "canceló la exportación de los datos",
  descargado: "descargó los datos exportados",
};

/** What somebody did, after their name. */
export function hecho({ accion, detalle: { estado, simulada, correcto } }: Pick<Evento, "accion" | "detalle">): string {
  if (accion === "restauracion" && typeof estado === "string") {
    return (simulada === true ? VISTA_PREVIA : RESTAURACION)[estado] ?? ACCION[accion];
  }
  if (accion === "exportacion" && typeof estado === "string") {
    return EXPORTACION[estado] ?? ACCION[accion];
  }
  if (accion === "verificacion" && correcto !== undefined) {
    return correcto === null
      ? "no pudo comprobar el respaldo"
      : `comprobó el respaldo: está ${correcto === true ? "bien" : "dañado"}`;
  }
  return ACCION[accion];
}

/** What a running operation is doing. */
const ETAPA: Record<string, string> = {
  preparando: "Preparando",
  leyendo: "Leyendo sus datos",
  subiendo: "Guardando el archivo",
  releyendo: "Leyendo el archivo de vuelta, para comprobarlo",
  comprobando: "Comprobando que todo coincide",
  verificando: "Comprobando el archivo",
  respaldando: "Guardando antes cómo está todo ahora",
  comparando: "Comparando",
  aplicando: "Poniendo los datos como estaban",
  confirmando: "Dejándolo firme",
  ensayando: "Recuperando todo aparte, como prueba",
};

/** A preview is the restore itself, undone in the end; nobody should read that it is being done. */
const ENSAYADAS = new Set(["aplicando", "comprobando", "confirmando"]);

export function etapa(name: unknown, trial = false): string {
  if (trial && typeof name === "string" && ENSAYADAS.has(name)) {
    return "Calculando qué cambiaría";
  }
  return (typeof name === "string" ? ETAPA[name] : undefined) ?? "Trabajando";
}

const MODELO: Record<string, string> = {
  usuarios: "Usuarios",
  pacientes: "Pacientes",
  consultas: "Consultas",
  historiales_clinicos: "Historiales clínicos",
  tratamientos_odontologicos: "Tratamientos odontológicos",
  planes_tratamiento: "Planes de tratamiento",
  presupuestos: "Presupuestos",
  facturas: "Facturas",
  pagos: "Pagos",
  pagos_online: "Pagos en línea",
  bitacoras: "Bitácora",
  clinica: "Datos de la clínica",
  odontologo: "Odontólogos",
  recepcionista: "Recepcionistas",
  odontograma: "Odontogramas",
  item_presupuesto: "Detalle de presupuestos",
  itemdefactura: "Detalle de facturas",
  auth_user: "Cuentas de ingreso",
};

/** What a kind of records is called; one that nobody has named goes by its table's name, made readable. */
export function modelo(name: string): string {
  const bare = name.slice(name.indexOf(".") + 1).replaceAll("_", " ");
  return MODELO[name] ?? bare.charAt(0).toUpperCase() + bare.slice(1);
}

const UNO: Record<string, string> = {
  usuarios: "usuario",
  pacientes: "paciente",
  consultas: "consulta",
  citas: "cita",
  historiales_clinicos: "historial clínico",
  tratamientos_odontologicos: "tratamiento",
  planes_tratamiento: "plan de tratamiento",
  presupuestos: "presupuesto",
  facturas: "factura",
  pagos: "pago",
  pagos_online: "pago en línea",
  bitacoras: "anotación de la bitácora",
  odontologo: "odontólogo",
  recepcionista: "recepcionista",
  odontograma: "odontograma",
  item_presupuesto: "detalle de un presupuesto",
  itemdefactura: "detalle de una factura",
  auth_user: "cuenta de ingreso",
};

/** What one of them is called, within a sentence. */
export function unRegistro(name: string): string {
  return UNO[name] ?? `registro de «${modelo(name)}»`;
}

/** What a column is called, as people read it. */
export function campo(name: string): string {
  return name.replaceAll("_", " ");
}

/** What a person can do about a backup that failed, by the reason's code. */
export function remedy(errorType: unknown): string {
  switch (errorType) {
    case "almacenamiento_lleno":
      return "No queda espacio donde se guardan los respaldos. Avise a soporte; después vuelva a intentarlo.";
    case "almacenamiento_no_disponible":
    case "almacenamiento":
      return "Fue un problema de donde se guardan los archivos, no de sus datos. Vuelva a intentarlo en unos minutos.";
    case "base_de_datos_no_disponible":
    case "base_de_datos":
      return "La base de datos no respondió. Vuelva a intentarlo en unos minutos; si sigue igual, avise a soporte.";
    case "proceso_muerto":
      return "El servicio se interrumpió mientras lo hacía. Vuelva a intentarlo: empieza de nuevo, sin perder nada.";
    case "cancelado":
      return "Puede pedir otro cuando quiera.";
    default:
      return "Vuelva a intentarlo. Si falla otra vez, avise a soporte y dígale el número de este respaldo.";
  }
}
