import createClient, { type Client, type Middleware } from "openapi-fetch";

import { noteAnswer, noteSilence } from "./connection";
import type { components, paths } from "./schema";

type Schemas = components["schemas"];

export type Respaldo = Schemas["RespaldoEnLista"];
export type RespaldoDetalle = Schemas["RespaldoCompleto"];
export type Estadisticas = Schemas["Estadisticas"];
export type Restauracion = Schemas["RestauracionEnLista"];
export type Exportacion = Schemas["ExportacionEnLista"];
export type Formato = Schemas["Formato"];
export type Evento = Schemas["EventoDeClinica"];
export type EventoDePlataforma = Schemas["EventoEnLista"];
export type Clinica = Schemas["ClinicaPropia"];
export type ClinicaEnLista = Schemas["ClinicaEnLista"];
export type Situacion = Schemas["Situacion"];
export type Estado = Schemas["Estado"];
export type TipoRespaldo = Schemas["TipoRespaldo"];
export type Orden = Schemas["Orden"];
export type Profundidad = Schemas["Profundidad"];
export type Accion = Schemas["Accion"];
export type Modo = Schemas["Modo"];
export type Registro = Schemas["RegistroEncontrado"];
/** The last line of a search: whether there is more, and what could not be read. */
export type FinDeBusqueda = Omit<Schemas["RegistrosEncontrados"], "resultados">;
export type Historia = Schemas["HistoriaDeRegistro"];
export type RegistroEntero = Schemas["RegistroEntero"];
export type Politica = Schemas["PoliticaDeClinica"];
export type ReglasDePolitica = Schemas["ReglasDePolitica"];
export type PedidoPolitica = Schemas["PedidoPolitica"];
export type CambioDePolitica = Schemas["CambioDePolitica"];
export type Ingresado = Schemas["Ingresado"];

export type Api = Client<paths>;

/** Why the service did not do what was asked for. `status` 0: it did not answer at all. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly codigo: string,
    message: string,
    readonly retryAfter: number | null = null,
    options: ErrorOptions = {},
  ) {
    super(message, options);
  }

  get offline(): boolean {
    return this.status === 0;
  }
}

export interface ApiOptions {
  /** The token of the moment; null once the session has ended: then nothing is asked. Without it, no token is sent. */
  token: (() => string | null) | null;
  /** For whom a superadmin asks; null for anybody else. */
  clinicaId: number | null;
  /** Told of a 401: the token is worth nothing any more. */
  onExpired: (token: string) => void;
  /**
   * Asks for the password again, for what takes data away or destroys it; whether `token` gives another one by then.
   * Without it, that is refused.
   */
  confirm?: (() => Promise<boolean>) | undefined;
  /** Where the service is; the panel's own host if nothing is said. */
  baseUrl?: string | undefined;
}

/** A client typed by the service's own document. */
export function makeApi({
  token,
  clinicaId,
  onExpired,
  confirm,
  baseUrl = window.location.origin,
}: ApiOptions): Api {
  const api = createClient<paths>({
    baseUrl,
    fetch: (request) => globalThis.fetch(request),
  });
  const asked = new WeakMap<Request, string>();
  const bodies = new WeakMap<Request, string>();
  const middleware: Middleware = {
    async onRequest({ request }) {
      const sent = clinicaId === null ? request : await forClinic(request, clinicaId);
      if (token !== null) {
        const current = token();
        if (current === null) {
          throw new ApiError(401, "sesion_terminada", "Su sesión terminó.");
        }
        sent.headers.set("Authorization", `Bearer ${current}`);
        asked.set(sent, current);
        if (confirm !== undefined && sent.method === "POST") {
          bodies.set(sent, await sent.clone().text());
        }
      }
      return sent;
    },
    async onResponse({ request, response }) {
      noteAnswer();
      const used = asked.get(request);
      if (response.status === 401 && used !== undefined) {
        onExpired(used);
      }
      if (response.status !== 403 || confirm === undefined || !(await wantsPassword(response))) {
        return undefined;
      }
      const current = (await confirm()) ? token?.() : null;
      return current ? globalThis.fetch(again(request, bodies.get(request), current)) : undefined;
    },
    onError({ error }) {
      if (error instanceof DOMException && error.name === "AbortError") {
        return undefined;
      }
      noteSilence(baseUrl);
      return new ApiError(0, "sin_conexion", "El servicio no responde. Puede ser la conexión a internet.");
    },
  };
  api.use(middleware);
  return api;
}

async function wantsPassword(response: Response): Promise<boolean> {
  const said = (await response
    .clone()
    .json()
    .catch(() => null)) as { codigo?: unknown } | null;
  return said?.codigo === "confirmacion_requerida";
}

/** The same request with another token. */
function again({ url, method, headers, signal }: Request, body: string | undefined, token: string): Request {
  const renewed = new Headers(headers);
  renewed.set("Authorization", `Bearer ${token}`);
  return new Request(url, { method, headers: renewed, signal, body: body === undefined || body === "" ? null : body });
}

/** The same request about a clinic. Its body is read: a copy of it would be a stream, which needs HTTP/2. */
async function forClinic(request: Request, clinicaId: number): Promise<Request> {
  const url = new URL(request.url);
  url.searchParams.set("clinica_id", String(clinicaId));
  const { method, headers, signal } = request;
  const body = method === "POST" ? await request.text() : "";
  return new Request(url, { method, headers, signal, body: body === "" ? null : body });
}

interface Answered<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** What was answered. Throws ApiError, with a sentence that can be shown. */
export async function answered<T>(asking: Promise<Answered<T>>): Promise<T> {
  const { data, error, response } = await asking;
  if (response.ok) {
    return data as T;
  }
  throw problemOf(error, response);
}

/** A page of a long list, and how many entries there are in all. */
export async function page<T>(asking: Promise<Answered<T[]>>): Promise<{ entries: T[]; total: number }> {
  const { data, error, response } = await asking;
  if (!response.ok || data === undefined) {
    throw problemOf(error, response);
  }
  return { entries: data, total: Number(response.headers.get("X-Total-Count") ?? data.length) };
}

/** In the panel's words, where the service's own are for whoever knows its terms. */
const WORDS: Record<string, string> = {
  operacion_en_curso:
    "Ahora mismo se está haciendo un respaldo o una restauración de esta clínica; espere a que termine",
};

function problemOf(error: unknown, response: Response): ApiError {
  const said = typeof error === "object" && error !== null ? (error as Record<string, unknown>) : {};
  const wait = Number(response.headers.get("Retry-After"));
  const codigo = typeof said["codigo"] === "string" ? said["codigo"] : `http_${response.status}`;
  const sentence = typeof said["error"] === "string" ? said["error"] : "El servicio respondió algo que no se entiende.";
  return new ApiError(
    response.status,
    codigo,
    WORDS[codigo] ?? sentence,
    Number.isFinite(wait) && wait > 0 ? wait : null,
  );
}
