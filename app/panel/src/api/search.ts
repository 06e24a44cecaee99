import { experimental_streamedQuery as streamedQuery, useQuery } from "@tanstack/react-query";

import { answered, ApiError, type Api, type FinDeBusqueda, type Registro } from "./client";
import { useApi } from "./context";
import { linesOf } from "./lines";

/** A search as far as it has come; `end` once all backups have been read. */
export interface Search {
  found: Registro[];
  end: FinDeBusqueda | null;
}

const NOTHING: Search = { found: [], end: null };

/**
 * The records that have all these words, each as soon as it is found; nothing is looked for where they are null.
 *
 * It reads every backup, so it is not done again by itself.
 */
export function useSearch(texto: string | null, dias: number) {
  const { api, scope } = useApi();
  const { data, error, refetch } = useQuery({
    queryKey: ["busqueda", scope, texto, dias],
    enabled: texto !== null,
    staleTime: Infinity,
    gcTime: 0,
    queryFn: streamedQuery({
      streamFn: ({ signal }) => lines(api, texto ?? "", dias, signal),
      reducer: told,
      initialValue: NOTHING,
    }),
  });
  return { search: data ?? NOTHING, error, again: refetch };
}

async function* lines(
  api: Api,
  buscar: string,
  dias: number,
  signal: AbortSignal,
): AsyncGenerator<Registro | FinDeBusqueda> {
  const { response, error } = await api.GET("/api/v1/registros/", {
    params: { query: { buscar, dias } },
    parseAs: "stream",
    headers: { Accept: "application/x-ndjson" },
    signal,
  });
  if (!response.ok || response.body === null) {
    await answered(Promise.resolve({ response, error }));
    return;
  }
  try {
    for await (const line of linesOf(response.body)) {
      if (isEnd(line)) {
        yield line;
        return;
      }
      if (!isFound(line)) {
        break;
      }
      yield line;
    }
  } catch (error_) {
    throw cutOff({ cause: error_ });
  }
  throw cutOff();
}

/** What a stream breaks by says nothing that a person could use. */
function cutOff(options: ErrorOptions = {}): ApiError {
  return new ApiError(502, "busqueda_cortada", "La búsqueda se cortó antes de terminar", null, options);
}

/** With this line; older backups may have told more of a record that was there. */
function told({ found, end }: Search, line: Registro | FinDeBusqueda): Search {
  if (isEnd(line)) {
    return { found, end: line };
  }
  const place = found.findIndex(({ numero }) => numero === line.numero);
  return { found: place < 0 ? [...found, line] : found.map((each, at) => (at === place ? line : each)), end };
}

const isEnd = (line: unknown): line is FinDeBusqueda => typeof line === "object" && line !== null && "hay_mas" in line;
const isFound = (line: unknown): line is Registro => typeof line === "object" && line !== null && "numero" in line;
