import { describe, expect, test, vi } from "vitest";

import { answered, ApiError, makeApi } from "../src/api/client";
import { eventsOf } from "../src/api/events";
import { follow, type Moment } from "../src/api/follow";
import { sessionOf, store, stored } from "../src/session/session";
import { json, problem, respaldo, service } from "./service";

const PROGRESS = "/api/v1/respaldos/7/progreso/";

function stream(...parts: string[]): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      for (const part of parts) {
        controller.enqueue(new TextEncoder().encode(part));
      }
      controller.close();
    },
  });
}

const api = (clinicaId: number | null = null, onExpired: (token: string) => void = () => undefined) =>
  makeApi({ token: () => "testigo", clinicaId, onExpired });

describe("the client", () => {
  test("sends the token and, for a superadmin, the clinic, with the body whole", async () => {
    const asked = service({ "POST /api/v1/respaldos/crear_respaldo_manual/": () => json({}) });
    await api(3).POST("/api/v1/respaldos/crear_respaldo_manual/", { body: { descripcion: "Ñandú" } });
    expect(asked[0]).toMatchObject({ authorization: "Bearer testigo", body: { descripcion: "Ñandú" } });
    expect(asked[0]?.query.get("clinica_id")).toBe("3");
  });

  test("tells of a token that is refused, and of nothing else", async () => {
    const expired = vi.fn<(token: string) => void>();
    service({
      "GET /api/v1/clinica/": () => problem(401, "token_invalido", "El token venció"),
      "GET /api/v1/respaldos/": () => problem(503, "x", "No responde", { "Retry-After": "5" }),
    });
    await expect(answered(api(null, expired).GET("/api/v1/respaldos/"))).rejects.toMatchObject({ status: 503, retryAfter: 5 });
    expect(expired).not.toHaveBeenCalled();
    await expect(answered(api(null, expired).GET("/api/v1/clinica/"))).rejects.toThrow("El token venció");
    expect(expired).toHaveBeenCalledWith("testigo");
  });

  test("asks nothing once the session has ended", async () => {
    const asked = service({});
    const ended = makeApi({ token: () => null, clinicaId: null, onExpired: () => undefined });
    await expect(answered(ended.GET("/api/v1/clinica/"))).rejects.toMatchObject({ status: 401 });
    expect(asked).toHaveLength(0);
  });

  test("says in words that there is no connection", async () => {
    vi.useFakeTimers();
    vi.stubGlobal("fetch", () => Promise.reject(new TypeError("Failed to fetch")));
    const error = await answered(api().GET("/api/v1/clinica/")).catch((found: unknown) => found);
    expect(error).toBeInstanceOf(ApiError);
    expect((error as ApiError).offline).toBe(true);
  });
});

describe("a stream of events", () => {
  test("is read however it is cut", async () => {
    const text = 'event: progreso\ndata: {"a": "ñ"}\n\n: ping\n\nevent: fin\r\ndata: {}\r\n\r\n';
    const bytes = new TextEncoder().encode(text);
    const parts = Array.from(bytes, (byte) => new Uint8Array([byte]));
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        parts.forEach((part) => controller.enqueue(part));
        controller.close();
      },
    });
    const found = [];
    for await (const event of eventsOf(body)) {
      found.push(event);
    }
    expect(found[0]).toEqual({ event: "progreso", data: '{"a": "ñ"}' });
    expect(found[1]).toEqual({ event: "fin", data: "{}" });
  });

  test("is opened again where it breaks, and looked at instead where there are too many", async () => {
    vi.useFakeTimers();
    const running = { id: 7, estado: "procesando", progreso: { porcentaje: 24 } };
    const answers = [
      () => new Response(stream(`event: progreso\ndata: ${JSON.stringify(running)}\n\n`)),
      () => Promise.reject(new TypeError("Failed to fetch")),
      () => problem(429, "demasiados_intentos", "Hay demasiadas pantallas", { "Retry-After": "10" }),
    ];
    let looks = 0;
    service({
      [`GET ${PROGRESS}`]: () => answers.shift()?.() ?? problem(429, "demasiados_intentos", "Hay demasiadas"),
      "GET /api/v1/respaldos/7/": () => json(looks++ < 2 ? respaldo({ estado: "procesando" }) : respaldo()),
      "GET /salud/viva": () => json({}),
    });
    const seen: Moment[] = [];
    const followed = follow(api(), 7, (moment) => seen.push(moment), new AbortController().signal);
    await vi.advanceTimersByTimeAsync(60_000);
    expect((await followed).estado).toBe("completado");
    expect(seen[0]).toMatchObject({ progreso: { porcentaje: 24 } });
    expect(seen).toHaveLength(3);
  });

  test("of a backup that is gone is given up", async () => {
    service({ [`GET ${PROGRESS}`]: () => problem(404, "respaldo_inexistente", "No existe el respaldo 7") });
    await expect(follow(api(), 7, () => undefined, new AbortController().signal)).rejects.toMatchObject({ status: 404 });
  });
});

describe("a session", () => {
  const entered = { mensaje: "", token: "a.b.c", expira_en_segundos: 60, usuario: { clinica_id: 1 } } as never;

  test("ends with its token", () => {
    store(sessionOf(entered, 1000));
    expect(stored(1000 + 59_000)?.token).toBe("a.b.c");
    expect(stored(1000 + 61_000)).toBeNull();
    expect(stored(1000)).toBeNull();
  });

  test("is nowhere but in this tab", () => {
    store(sessionOf(entered, 1000));
    expect(JSON.stringify({ ...localStorage })).not.toContain("a.b.c");
    expect(document.cookie).toBe("");
  });
});
