import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { render } from "@testing-library/react";
import type { ReactNode } from "react";
import { vi } from "vitest";
import { Router } from "wouter";

import { makeApi, type Clinica, type Estadisticas, type Evento, type Exportacion, type Registro, type RespaldoDetalle, type Restauracion } from "../src/api/client";
import { ApiProvider } from "../src/api/context";
import { SessionProvider } from "../src/session/context";
import { ClinicContext } from "../src/shell/clinic";
import { Clock } from "../src/text/format";
import { ToastProvider } from "../src/ui/toast";

type Handler = (request: Request) => Response | Promise<Response>;

export interface Asked {
  method: string;
  path: string;
  query: URLSearchParams;
  body: unknown;
  authorization: string | null;
}

/** A service that answers as the routes given here do, keyed by «GET /api/v1/…»; what was asked of it is kept. */
export function service(routes: Record<string, Handler>): Asked[] {
  const asked: Asked[] = [];
  vi.stubGlobal("fetch", async (input: Request | string) => {
    const request = input instanceof Request ? input : new Request(new URL(input, window.location.origin));
    const url = new URL(request.url);
    const text = request.method === "POST" ? await request.clone().text() : "";
    asked.push({
      method: request.method,
      path: url.pathname,
      query: url.searchParams,
      body: text === "" ? null : JSON.parse(text),
      authorization: request.headers.get("Authorization"),
    });
    const handler = routes[`${request.method} ${url.pathname}`];
    return handler === undefined ? problem(404, "no_hay", `No existe ${url.pathname}`) : handler(request);
  });
  return asked;
}

export function json(body: unknown, headers: Record<string, string> = {}, status = 200): Response {
  return Response.json(body, { status, headers });
}

export function problem(status: number, codigo: string, error: string, headers: Record<string, string> = {}): Response {
  return Response.json({ status, codigo, error, detail: error }, { status, headers });
}

export const CLINICA: Clinica = {
  clinica_id: 1,
  nombre: "Clínica Dental Illimani — La Paz",
  activa: true,
  zona_horaria: "America/La_Paz",
  respaldo_diario: "02:00",
  politica: "Se respalda todos los días a las 2:00. Se guarda cada respaldo 30 días.",
  puede_administrar: true,
  puede_programar: false,
};

interface Shown {
  clinica?: Partial<Clinica>;
  at?: string;
}

/** The component with all that it needs around it, for an administrator. */
export function show(element: ReactNode, { clinica = {}, at = "/" }: Shown = {}) {
  window.history.replaceState(null, "", `/panel${at}`);
  const client = new QueryClient({ defaultOptions: { queries: { retry: false }, mutations: { retry: false } } });
  const api = makeApi({ token: () => "testigo", clinicaId: null, onExpired: () => undefined });
  const found = { ...CLINICA, ...clinica };
  return render(
    <QueryClientProvider client={client}>
      <Router base="/panel">
        <SessionProvider>
          <ToastProvider>
            <ApiProvider api={api} scope="propia" persona="1">
              <ClinicContext value={{ clinica: found, clock: new Clock(found.zona_horaria) }}>{element}</ClinicContext>
            </ApiProvider>
          </ToastProvider>
        </SessionProvider>
      </Router>
    </QueryClientProvider>,
  );
}

export function respaldo(changed: Partial<RespaldoDetalle> = {}): RespaldoDetalle {
  return {
    id: 7,
    clinica_id: 1,
    fecha_respaldo: "2026-07-03T06:00:00+00:00",
    tamaño_bytes: 1_572_864,
    tamaño_mb: 1.5,
    copias: [],
    solo_en_copia: null,
    numero_registros: 15_000,
    estado: "completado",
    estado_display: "Completado",
    tipo_respaldo: "automatico",
    tipo_respaldo_display: "Automático",
    descripcion: "",
    usuario: null,
    fecha_creacion: "2026-07-03T06:00:00+00:00",
    puede_restaurar: true,
    verificado: null,
    sospechoso: false,
    fecha_expiracion: "2026-08-02T06:00:00+00:00",
    respaldo_base_id: null,
    sin_cambios_desde: null,
    retenido: null,
    cifrado: false,
    clave_destruida: null,
    archivo_s3: "backups/1/2026/07/backup_20260703_020000.json.gz",
    hash_md5: "9e107d9d372bb6826bd81d3542a419d6",
    tiempo_ejecucion: "00:00:04.381000",
    tiempo_ejecucion_segundos: 4.381,
    metadata: {
      modelos_respaldados: ["pacientes", "consultas"],
      detalles_registros: { pacientes: 3000, consultas: 12_000 },
      tamaño_original_mb: 9,
      tamaño_comprimido_mb: 1.5,
      compresion_porcentaje: 83.3,
      avisos: [],
      hash_sha256: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
      sello: "2026",
    cifrado: null,
    },
    usuario_nombre: null,
    fecha_actualizacion: "2026-07-03T06:00:00+00:00",
    progreso: null,
    ...changed,
  };
}

export function restauracion(changed: Partial<Restauracion> = {}): Restauracion {
  return {
    id: 3,
    respaldo_id: 7,
    clinica_id: 1,
    tipo: "restauracion",
    profundidad: null,
    estado: "completado",
    simulada: true,
    modelos: null,
    registro: null,
    registros: null,
    registros_total: null,
    etiquetas: {},
    modo: "todo",
    motivo: null,
    conflictos: [],
    destino: null,
    con_accesos: false,
    con_clinica: false,
    progreso: null,
    resultado: {
      pacientes: {
        insertados: 2,
        actualizados: 1,
        eliminados: 3,
        ejemplos: {
          actualizados: [{ clave: { codusuario: 15 }, campos: { direccion: { antes: "Calle 9", despues: "Av. Busch 1234" } } }],
        },
      },
      consultas: { insertados: 0, actualizados: 0, eliminados: 0, ejemplos: {} },
    },
    avisos: [],
    respaldo_previo: null,
    comparado_con: null,
    copia: null,
    error: null,
    usuario: "12",
    // A preview is good for some minutes.
    fecha_creacion: new Date(Date.now() - 5000).toISOString(),
    fecha_fin: new Date().toISOString(),
    ...changed,
  };
}

export function exportacion(changed: Partial<Exportacion> = {}): Exportacion {
  return {
    id: 4,
    respaldo_id: 7,
    clinica_id: 1,
    formato: "excel",
    estado: "completado",
    progreso: null,
    archivo: "backup_20260703_020000_excel.zip",
    tamaño_bytes: 2_097_152,
    tamaño_mb: 2,
    disponible: true,
    vence: "2026-07-06T06:00:00+00:00",
    descargado: null,
    error: null,
    usuario: "12",
    fecha_creacion: new Date(Date.now() - 5000).toISOString(),
    fecha_fin: new Date().toISOString(),
    ...changed,
  };
}

export function registro(changed: Partial<Registro> = {}): Registro {
  return {
    numero: 1,
    modelo: "pacientes",
    modelo_nombre: "Pacientes",
    clave: "15",
    etiqueta: "Ana María Muñoz",
    estado: "eliminado",
    en_respaldo: 7,
    fecha_respaldo: "2026-07-02T06:00:00+00:00",
    visto_hasta: "2026-07-02T06:00:00+00:00",
    eliminado_entre: ["2026-07-02T06:00:00+00:00", "2026-07-03T06:00:00+00:00"],
    coincidencia: { modelo: "usuarios", columna: "apellido", extracto: "Muñoz" },
    ...changed,
  };
}

export function evento(changed: Partial<Evento> = {}): Evento {
  return {
    id: 1,
    fecha: "2026-07-03T07:00:00+00:00",
    clinica_id: 1,
    accion: "enlace_descarga",
    respaldo_id: 7,
    usuario: null,
    usuario_nombre: null,
    direccion: "203.0.113.9",
    detalle: {},
    ...changed,
  };
}

export function estadisticas(changed: Partial<Estadisticas> = {}): Estadisticas {
  return {
    total_respaldos: 92,
    completados: 91,
    fallidos: 1,
    tamaño_total_mb: 136.5,
    ultimo_respaldo: { id: 7, fecha: "2026-07-03T06:00:00+00:00", tamaño_mb: 1.5 },
    tasa_exito: 98.9,
    proximo_respaldo: "2026-07-04T06:00:00+00:00",
    costo_mensual_estimado_usd: 0.001667,
    serie: [
      { dia: "2026-07-01", estado: null, tamaño_mb: 0, segundos: 0 },
      { dia: "2026-07-02", estado: "fallido", tamaño_mb: 0, segundos: 0 },
      { dia: "2026-07-03", estado: "completado", tamaño_mb: 1.5, segundos: 4.381 },
    ],
    situacion: "al_dia",
    ultimo_bueno: { id: 7, fecha: "2026-07-03T06:00:00+00:00", tamaño_mb: 1.5 },
    ultima_verificacion: { respaldo_id: 2, fecha: "2026-06-28T07:00:00+00:00", profundidad: "ensayo", error: null },
    fallos_seguidos: 0,
    tamaño_almacenado_mb: 2048,
    precio_gb_mes_usd: 0.0125,
    ...changed,
  };
}
