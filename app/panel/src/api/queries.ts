import {
  keepPreviousData,
  useInfiniteQuery,
  useMutation,
  useQueries,
  useQuery,
  useQueryClient,
  type QueryClient,
} from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";

import {
  answered,
  ApiError,
  page,
  type Accion,
  type Api,
  type Estado,
  type Formato,
  type Modo,
  type Orden,
  type PedidoPolitica,
  type Profundidad,
  type Respaldo,
  type RespaldoDetalle,
  type Situacion,
  type TipoRespaldo,
} from "./client";
import { useApi } from "./context";
import { follow, type Moment } from "./follow";

/** Entries of one request for a list. */
export const PAGE = 100;

/** How often what may change without us is looked at again (milliseconds). */
const AGAIN = 30_000;
const AGAIN_WHILE_RUNNING = 1000;

/** And what a person is about to have the browser fetch, of whose end the browser says nothing (milliseconds). */
const AGAIN_WHILE_FETCHED = 3000;

const running = (estado: Estado): boolean => estado === "pendiente" || estado === "procesando";

export function useClinica() {
  const { api, scope } = useApi();
  return useQuery({
    queryKey: [scope, "clinica"],
    queryFn: ({ signal }) => answered(api.GET("/api/v1/clinica/", { signal })),
    staleTime: Infinity,
  });
}

export function useEstadisticas() {
  const { api, scope } = useApi();
  return useQuery({
    queryKey: [scope, "estadisticas"],
    queryFn: ({ signal }) => answered(api.GET("/api/v1/respaldos/estadisticas/", { signal })),
    refetchInterval: AGAIN,
  });
}

export interface Filtros {
  estado?: Estado | undefined;
  tipo_respaldo?: TipoRespaldo | undefined;
  desde?: string | undefined;
  hasta?: string | undefined;
  /** Only those that are deleted and can be taken back. */
  eliminados?: "true" | undefined;
  orden?: Orden | undefined;
}

/**
 * The pages of the list that are in sight; `at(i)` is entry i, or undefined while it is on its way.
 *
 * Only what is looked at is fetched, so that ten thousand backups cost no more than a hundred. The first page is always
 * there, for the total; while another order is fetched, it shows what it had.
 */
export function useRespaldos(filtros: Filtros, pages: number[]) {
  const { api, scope } = useApi();
  const query = (number: number) => ({
    queryKey: [scope, "respaldos", "lista", filtros, number],
    queryFn: ({ signal }: { signal: AbortSignal }) =>
      page(
        api.GET("/api/v1/respaldos/", {
          params: { query: { ...given(filtros), limit: PAGE, offset: number * PAGE } },
          signal,
        }),
      ),
    refetchInterval: AGAIN,
  });
  const first = useQuery({ ...query(0), placeholderData: keepPreviousData });
  const others = pages.filter((number) => number > 0);
  const found = useQueries({ queries: others.map(query) });
  const byPage = new Map(others.map((number, place) => [number, found[place]?.data?.entries]));
  byPage.set(0, first.data?.entries);
  return {
    at: (index: number): Respaldo | undefined => byPage.get(Math.floor(index / PAGE))?.[index % PAGE],
    total: first.data?.total,
    error: first.error,
    busy: first.isPending || first.isPlaceholderData,
    refetch: first.refetch,
  };
}

function given(filtros: Filtros) {
  return Object.fromEntries(Object.entries(filtros).filter(([, value]) => value !== undefined)) as {
    estado?: Estado;
    tipo_respaldo?: TipoRespaldo;
    desde?: string;
    hasta?: string;
    eliminados?: "true";
    orden?: Orden;
  };
}

export function useRespaldo(respaldoId: number | null) {
  const { api, scope } = useApi();
  return useQuery({
    queryKey: [scope, "respaldos", respaldoId],
    enabled: respaldoId !== null,
    queryFn: ({ signal }) =>
      answered(
        api.GET("/api/v1/respaldos/{respaldo_id}/", { params: { path: { respaldo_id: respaldoId ?? 0 } }, signal }),
      ),
    refetchInterval: AGAIN,
  });
}

/** The completed backup before this one; null where there is none. */
export function useAnterior(respaldo: RespaldoDetalle | undefined) {
  const { api, scope } = useApi();
  return useQuery({
    queryKey: [scope, "respaldos", "anterior", respaldo?.id],
    enabled: respaldo?.estado === "completado",
    staleTime: Infinity,
    queryFn: async ({ signal }) => {
      const { entries } = await page(
        api.GET("/api/v1/respaldos/", {
          params: { query: { estado: "completado", hasta: respaldo?.fecha_respaldo ?? "", limit: 1 } },
          signal,
        }),
      );
      const before = entries[0];
      return before === undefined
        ? null
        : answered(
            api.GET("/api/v1/respaldos/{respaldo_id}/", { params: { path: { respaldo_id: before.id } }, signal }),
          );
    },
  });
}

export function useRestauraciones(respaldoId: number) {
  const { api, scope } = useApi();
  return useQuery({
    queryKey: [scope, "restauraciones", "de", respaldoId],
    queryFn: ({ signal }) =>
      page(api.GET("/api/v1/restauraciones/", { params: { query: { respaldo_id: respaldoId, limit: 20 } }, signal })),
    refetchInterval: (query) =>
      query.state.data?.entries.some((each) => running(each.estado)) ? AGAIN_WHILE_RUNNING : AGAIN,
  });
}

/** A restore or a verification, looked at every second while it goes on. */
export function useRestauracion(restauracionId: number | null) {
  const { api, scope } = useApi();
  return useQuery({
    queryKey: [scope, "restauraciones", restauracionId],
    enabled: restauracionId !== null,
    queryFn: ({ signal }) =>
      answered(
        api.GET("/api/v1/restauraciones/{restauracion_id}/", {
          params: { path: { restauracion_id: restauracionId ?? 0 } },
          signal,
        }),
      ),
    refetchInterval: (query) =>
      query.state.data === undefined || running(query.state.data.estado) ? AGAIN_WHILE_RUNNING : false,
  });
}

/** The exports of a backup: what is being made, and what can be downloaded. */
export function useExportaciones(respaldoId: number, enabled: boolean) {
  const { api, scope } = useApi();
  return useQuery({
    queryKey: [scope, "exportaciones", respaldoId],
    enabled,
    queryFn: ({ signal }) =>
      page(api.GET("/api/v1/exportaciones/", { params: { query: { respaldo_id: respaldoId, limit: 20 } }, signal })),
    refetchInterval: (query) => {
      const entries = query.state.data?.entries ?? [];
      return entries.some((each) => running(each.estado))
        ? AGAIN_WHILE_RUNNING
        : entries.some((each) => each.disponible && each.descargado === null)
          ? AGAIN_WHILE_FETCHED
          : AGAIN;
    },
  });
}

export function useEventos(respaldoId: number, enabled: boolean) {
  const { api, scope } = useApi();
  return useQuery({
    queryKey: [scope, "eventos", respaldoId],
    enabled,
    queryFn: ({ signal }) =>
      page(api.GET("/api/v1/eventos/", { params: { query: { respaldo_id: respaldoId, limit: 50 } }, signal })),
  });
}

/** Of a long list that is read on and on, so many at once. */
export const AT_ONCE = 100;

/**
 * The clinics that have this in their name and are so, the worst first, as far as somebody has asked to see them; how
 * many they are, and how many of all there are of each situation.
 */
export function useClinicas(buscar: string, situacion: Situacion | "") {
  const { api } = useApi();
  return useInfiniteQuery({
    queryKey: ["clinicas", buscar, situacion],
    initialPageParam: 0,
    queryFn: async ({ pageParam, signal }) => {
      const query = { limit: AT_ONCE, offset: pageParam, buscar, ...(situacion === "" ? {} : { situacion }) };
      const asking = api.GET("/api/v1/plataforma/clinicas/", { params: { query }, signal });
      const { entries, total } = await page(asking);
      const counts = (await asking).response.headers.get("X-Situaciones");
      if (counts === null) {
        // Of none in trouble nobody is to read that all are safe.
        throw new ApiError(502, "sin_cuentas", "El servicio no dijo cómo están las clínicas; puede ser de otra versión.");
      }
      return { entries, total, counts: new Map(counts.split(", ").map((each) => counted(each))) };
    },
    getNextPageParam: (last, all) => (all.length * AT_ONCE < last.total ? all.length * AT_ONCE : undefined),
    placeholderData: keepPreviousData,
    refetchInterval: AGAIN,
  });
}

function counted(said: string): [string, number] {
  const [situacion = "", many] = said.split("=");
  return [situacion, Number(many)];
}

/** Where the clinics are, for the moments of what is nobody's. */
export function useTimeZone() {
  const { api } = useApi();
  return useQuery({
    queryKey: ["clinicas", "zona"],
    staleTime: Infinity,
    queryFn: async ({ signal }) => {
      const query = { limit: 1 };
      const { entries } = await page(api.GET("/api/v1/plataforma/clinicas/", { params: { query }, signal }));
      return entries[0]?.zona_horaria ?? "UTC";
    },
  });
}

export interface FiltrosDeEventos {
  clinica_id?: number | undefined;
  accion?: Accion | undefined;
  dia?: string | undefined;
}

/** What was done in all clinics, and outside of any, newest first. New lines are looked for while only those are shown. */
export function useEventosDeTodas(filtros: FiltrosDeEventos) {
  const { api } = useApi();
  const { clinica_id, accion, dia } = filtros;
  return useInfiniteQuery({
    queryKey: ["eventos", clinica_id, accion, dia],
    initialPageParam: null as number | null,
    queryFn: async ({ pageParam, signal }) => {
      const query = {
        limit: AT_ONCE,
        ...(pageParam === null ? {} : { antes: pageParam }),
        ...(clinica_id === undefined ? {} : { clinica_id }),
        ...(accion === undefined ? {} : { accion }),
        ...(dia === undefined ? {} : { dia }),
      };
      const asking = api.GET("/api/v1/plataforma/eventos/", { params: { query }, signal });
      return { entries: await answered(asking), more: (await asking).response.headers.has("Link") };
    },
    getNextPageParam: ({ entries, more }) => (more ? entries.at(-1)?.id : undefined),
    placeholderData: keepPreviousData,
    refetchInterval: (query) => ((query.state.data?.pages.length ?? 0) > 1 ? false : AGAIN),
  });
}

/** Have everything that shows a clinic's backups looked at again, the list of all clinics too. */
export function lookAgain(client: QueryClient, scope: number | "propia"): Promise<void> {
  return client.invalidateQueries({
    predicate: ({ queryKey: [first, second] }) => first === "clinicas" || (first === scope && second !== "clinica"),
  });
}

/** How far a pending or running backup has come; once it ends, all that shows it is looked at again. */
export function useFollowed(respaldo: Pick<Respaldo, "id" | "estado"> | undefined): Moment | null {
  const { api, scope } = useApi();
  const client = useQueryClient();
  const [moment, setMoment] = useState<Moment | null>(null);
  const respaldoId = respaldo !== undefined && running(respaldo.estado) ? respaldo.id : null;
  useEffect(() => {
    if (respaldoId === null) {
      return undefined;
    }
    const stopping = new AbortController();
    let estado: Estado | null = null;
    function seen(next: Moment) {
      setMoment(next);
      // An attempt has begun or failed: the backup says why.
      if (estado !== null && estado !== next.estado) {
        void client.invalidateQueries({ queryKey: [scope, "respaldos", respaldoId] });
      }
      estado = next.estado;
    }
    follow(api, respaldoId, seen, stopping.signal)
      .then((ended) => {
        client.setQueryData([scope, "respaldos", respaldoId], ended);
        return lookAgain(client, scope);
      })
      // A stream that cannot be followed leaves the look of every half minute.
      .catch(() => undefined);
    return () => stopping.abort();
  }, [api, scope, client, respaldoId]);
  return moment?.id === respaldoId ? moment : null;
}

/**
 * What a person can have done. Each looks again at everything when it is over, however it went; whoever asked is told
 * at once, before what is seen may leave the screen without them.
 */
function useAction<Argument, Result>(act: (argument: Argument) => Promise<Result>) {
  const { scope } = useApi();
  const client = useQueryClient();
  return useMutation({ mutationFn: act, onSettled: () => void lookAgain(client, scope) });
}

/**
 * What names a press of a button to the service. While nobody knows what came of it, the next press that asks for the
 * same goes by the same name: the service then answers with what the first made.
 */
function usePress() {
  const last = useRef({ asked: "", name: "" });
  return {
    header(argument: unknown): { "Idempotency-Key": string } {
      const asked = JSON.stringify(argument);
      if (last.current.asked !== asked) {
        last.current = { asked, name: newName() };
      }
      return { "Idempotency-Key": last.current.name };
    },
    settled(error: Error | null): void {
      if (!(error instanceof ApiError && error.offline)) {
        last.current = { asked: "", name: "" };
      }
    },
  };
}

/** `randomUUID` is there on https alone. */
function newName(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (each) => each.toString(16).padStart(2, "0")).join("");
}

/** As `useAction`, for what the service makes: a press that is sent again makes no second one. */
function usePressed<Argument, Result>(act: (argument: Argument, header: { "Idempotency-Key": string }) => Promise<Result>) {
  const press = usePress();
  const { scope } = useApi();
  const client = useQueryClient();
  return useMutation({
    mutationFn: (argument: Argument) => act(argument, press.header(argument)),
    onSettled: (_, error) => {
      press.settled(error);
      void lookAgain(client, scope);
    },
  });
}

const of = (respaldoId: number) => ({ params: { path: { respaldo_id: respaldoId } } });

/** The newest backup that people asked for; null if there is none. */
async function newestAskedFor(api: Api, signal?: AbortSignal): Promise<Respaldo | null> {
  const query = { tipo_respaldo: "por_demanda" as const, limit: 1 };
  const { entries } = await page(api.GET("/api/v1/respaldos/", { params: { query }, ...(signal ? { signal } : {}) }));
  return entries[0] ?? null;
}

/** Asks for a backup. The context has the newest that there was before, for where the answer is lost. */
export function useCrear() {
  const { api, scope } = useApi();
  const client = useQueryClient();
  const press = usePress();
  return useMutation({
    onMutate: async () => ({ before: (await newestAskedFor(api))?.id ?? 0 }),
    mutationFn: (descripcion: string) =>
      answered(
        api.POST("/api/v1/respaldos/crear_respaldo_manual/", {
          params: { header: press.header(descripcion) },
          body: { descripcion },
        }),
      ),
    onSettled: (_, error) => {
      press.settled(error);
      return lookAgain(client, scope);
    },
  });
}

/** The backup that was made since that one; null if there is none, undefined while nobody knows. */
export function useMadeSince(before: number | null) {
  const { api, scope } = useApi();
  return useQuery({
    queryKey: [scope, "respaldos", "desde", before],
    enabled: before !== null,
    gcTime: 0,
    queryFn: async ({ signal }) => {
      const newest = await newestAskedFor(api, signal);
      return newest !== null && newest.id > (before ?? 0) ? newest : null;
    },
  }).data;
}

export function useCancelar() {
  const { api } = useApi();
  return useAction((id: number) => answered(api.POST("/api/v1/respaldos/{respaldo_id}/cancelar/", of(id))));
}

export function useEliminar() {
  const { api } = useApi();
  return useAction((id: number) => answered(api.DELETE("/api/v1/respaldos/{respaldo_id}/", of(id))));
}

export function useRecuperar() {
  const { api } = useApi();
  return useAction((id: number) => answered(api.POST("/api/v1/respaldos/{respaldo_id}/recuperar/", of(id))));
}

export function useRetener() {
  const { api } = useApi();
  return useAction(({ id, ...body }: { id: number; motivo: string; hasta: string | null }) =>
    answered(api.POST("/api/v1/respaldos/{respaldo_id}/retener/", { ...of(id), body })),
  );
}

export function useLiberar() {
  const { api } = useApi();
  return useAction((id: number) => answered(api.POST("/api/v1/respaldos/{respaldo_id}/liberar/", of(id))));
}

export function useAceptar() {
  const { api } = useApi();
  return useAction((id: number) => answered(api.POST("/api/v1/respaldos/{respaldo_id}/aceptar/", of(id))));
}

export function useVerificar() {
  const { api } = useApi();
  return usePressed(({ id, profundidad }: { id: number; profundidad: Profundidad }, header) =>
    answered(
      api.POST("/api/v1/respaldos/{respaldo_id}/verificar/", {
        params: { ...of(id).params, header },
        body: { profundidad },
      }),
    ),
  );
}

/** Has it found out what changed since another backup. */
export function useComparar() {
  const { api } = useApi();
  return usePressed(({ id, desde }: { id: number; desde: number }, header) =>
    answered(
      api.POST("/api/v1/respaldos/{respaldo_id}/comparar/", { params: { ...of(id).params, header }, body: { desde } }),
    ),
  );
}

/** The whole clinic, some models, or some records («modelo:clave»); which of their differences; and why. */
export interface Seleccion {
  modelos?: string[];
  registros?: string[];
  modo: Modo;
  motivo?: string;
}

export function useRestaurar() {
  const { api } = useApi();
  return usePressed(({ id, simular, seleccion }: { id: number; simular: boolean; seleccion: Seleccion }, header) =>
    answered(
      api.POST("/api/v1/respaldos/{respaldo_id}/restaurar/", {
        params: { ...of(id).params, header },
        body: { simular, ...seleccion },
      }),
    ),
  );
}

/** When a clinic is backed up, what is kept and who is told, by its parts; for a superadmin. */
export function usePolitica(clinica_id: number) {
  const { api, scope } = useApi();
  return useQuery({
    queryKey: [scope, "politica", clinica_id],
    queryFn: ({ signal }) =>
      answered(
        api.GET("/api/v1/plataforma/clinicas/{clinica_id}/politica/", { params: { path: { clinica_id } }, signal }),
      ),
  });
}

/** Says so of the clinic, or only tries it. */
export function useCambiarPolitica(clinica_id: number) {
  const { api, scope } = useApi();
  const client = useQueryClient();
  return useMutation({
    mutationFn: (body: Partial<PedidoPolitica>) =>
      answered(
        api.POST("/api/v1/plataforma/clinicas/{clinica_id}/politica/", {
          params: { path: { clinica_id } },
          body: { simular: false, ...body },
        }),
      ),
    onSuccess: async ({ simulada }) => {
      if (!simulada) {
        await client.invalidateQueries({ queryKey: [scope] });
      }
    },
  });
}

/** What one record was like in each backup of the last days, and is today. */
export function useHistoria(modelo: string, clave: string, dias: number) {
  const { api, scope } = useApi();
  return useQuery({
    queryKey: [scope, "historia", modelo, clave, dias],
    queryFn: ({ signal }) =>
      answered(
        api.GET("/api/v1/registros/{modelo}/{clave}/historia/", {
          params: { path: { modelo, clave }, query: { dias } },
          signal,
        }),
      ),
  });
}

/** All that one record says in a backup, or today where that is null. */
export function useRegistroEntero(modelo: string, clave: string, respaldo: number | null) {
  const { api, scope } = useApi();
  return useQuery({
    queryKey: [scope, "entero", modelo, clave, respaldo],
    queryFn: ({ signal }) =>
      answered(
        api.GET("/api/v1/registros/{modelo}/{clave}/entero/", {
          params: { path: { modelo, clave }, query: respaldo === null ? {} : { respaldo } },
          signal,
        }),
      ),
  });
}

export function useExportar() {
  const { api } = useApi();
  return useAction(({ id, formato }: { id: number; formato: Formato }) =>
    answered(api.POST("/api/v1/respaldos/{respaldo_id}/exportaciones/", { ...of(id), body: { formato } })),
  );
}

const ofExport = (exportacionId: number) => ({ params: { path: { exportacion_id: exportacionId } } });

export function useCancelarExportacion() {
  const { api } = useApi();
  return useAction((id: number) =>
    answered(api.POST("/api/v1/exportaciones/{exportacion_id}/cancelar/", ofExport(id))),
  );
}

/** Has the browser download an export by a link of its own, so that the browser can go on where it was cut off. */
export function useDescargarExportacion() {
  const { api } = useApi();
  return useAction(async (id: number) => {
    const asked = await api.POST("/api/v1/exportaciones/{exportacion_id}/enlace/", ofExport(id));
    const { url, archivo } = await answered(Promise.resolve(asked));
    // Where the service is, which need not be where this page is.
    download(new URL(url, asked.response.url).href, archivo);
    return archivo;
  });
}

/** Has the browser download the file: its address is on another host, which a link may lead to and fetch may not. */
export function useDescargar() {
  const { api } = useApi();
  return useAction(async (id: number) => {
    const { url, archivo } = await answered(api.GET("/api/v1/respaldos/{respaldo_id}/descargar/", of(id)));
    download(url, archivo);
    return archivo;
  });
}

/** The certificate of a backup, or of what was done with one; the service reads the whole file for it. */
export function useConstancia() {
  const { api } = useApi();
  return useAction(async ({ de, id }: { de: "respaldo" | "restauracion"; id: number }) => {
    const pdf = await answered(
      de === "respaldo"
        ? api.GET("/api/v1/respaldos/{respaldo_id}/constancia/", { ...of(id), parseAs: "blob" })
        : api.GET("/api/v1/restauraciones/{restauracion_id}/constancia/", {
            params: { path: { restauracion_id: id } },
            parseAs: "blob",
          }),
    );
    const url = URL.createObjectURL(pdf as unknown as Blob);
    download(url, `constancia_${de}_${id}.pdf`);
    URL.revokeObjectURL(url);
  });
}

function download(url: string, name: string) {
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.rel = "noreferrer";
  document.body.append(link);
  link.click();
  link.remove();
}
