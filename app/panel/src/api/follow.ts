import { answered, ApiError, type Api, type RespaldoDetalle } from "./client";
import { eventsOf } from "./events";

/** How far a running backup has come. */
export type Moment = Pick<RespaldoDetalle, "id" | "estado" | "estado_display" | "progreso">;

/** Pauses before a broken stream is opened again, longer each time (milliseconds). */
const PAUSES = [500, 1000, 2000, 4000, 8000];

/** Between two looks where the service has too many streams open already (milliseconds). */
const POLL = 3000;

const STREAM_TRIES_BETWEEN = 5;

/**
 * Follow a backup to its end, which is returned; `seen` is told of every step.
 *
 * Read by fetch, since EventSource sends no Authorization. A stream that breaks is opened again; where there are too
 * many (429), the backup is looked at every few seconds instead. Throws ApiError where it cannot be followed at all,
 * and what `signal` was aborted with.
 */
export async function follow(
  api: Api,
  respaldoId: number,
  seen: (moment: Moment) => void,
  signal: AbortSignal,
): Promise<RespaldoDetalle> {
  const params = { path: { respaldo_id: respaldoId } };
  let broken = 0;
  for (;;) {
    signal.throwIfAborted();
    try {
      const { response, error } = await api.GET("/api/v1/respaldos/{respaldo_id}/progreso/", {
        params,
        parseAs: "stream",
        headers: { Accept: "text/event-stream" },
        signal,
      });
      if (response.status === 429) {
        const ended = await poll(api, respaldoId, seen, signal);
        if (ended !== null) {
          return ended;
        }
        continue;
      }
      if (!response.ok || response.body === null) {
        await answered(Promise.resolve({ response, error }));
      } else {
        for await (const { event, data } of eventsOf(response.body)) {
          broken = 0;
          if (event === "progreso") {
            seen(JSON.parse(data) as Moment);
          } else if (event === "fin") {
            return JSON.parse(data) as RespaldoDetalle;
          } else if (event === "problema") {
            break;
          }
        }
      }
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof ApiError && error.status >= 400 && error.status < 500) {
        throw error;
      }
    }
    await pause(PAUSES[Math.min(broken, PAUSES.length - 1)] ?? 0, signal);
    broken += 1;
  }
}

/** Look a few times; the backup if it has ended, null if it is time to try the stream again. */
async function poll(
  api: Api,
  respaldoId: number,
  seen: (moment: Moment) => void,
  signal: AbortSignal,
): Promise<RespaldoDetalle | null> {
  for (let look = 0; look < STREAM_TRIES_BETWEEN; look += 1) {
    const found = await answered(
      api.GET("/api/v1/respaldos/{respaldo_id}/", { params: { path: { respaldo_id: respaldoId } }, signal }),
    );
    if (found.estado !== "pendiente" && found.estado !== "procesando") {
      return found;
    }
    seen(found);
    await pause(POLL, signal);
  }
  return null;
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, milliseconds);
    function stop(): void {
      clearTimeout(timer);
      reject(signal.reason as Error);
    }
    signal.addEventListener("abort", stop, { once: true });
  });
}
