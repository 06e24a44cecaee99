import { screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { describe, expect, test } from "vitest";

import type { Restauracion } from "../src/api/client";
import { Calendar } from "../src/respaldos/Calendar";
import CrearRespaldo from "../src/respaldos/CrearRespaldo";
import EstadisticasRespaldos from "../src/respaldos/EstadisticasRespaldos";
import { fromAddress, toAddress } from "../src/respaldos/filters";
import { ModelBars } from "../src/respaldos/ModelBars";
import { Politica } from "../src/respaldos/Politica";
import RespaldoDetail from "../src/respaldos/RespaldoDetail";
import RespaldosList from "../src/respaldos/RespaldosList";
import { sameName } from "../src/restore/changes";
import { ChangesTable } from "../src/restore/ChangesTable";
import RestorePage from "../src/restore/RestorePage";
import { LoginForm } from "../src/session/LoginForm";
import { CLINICA, estadisticas, evento, exportacion, json, problem, respaldo, restauracion, service, show } from "./service";

const LIST = "GET /api/v1/respaldos/";
const DETAIL = "GET /api/v1/respaldos/7/";
const none = () => json([], { "X-Total-Count": "0" });

describe("the list", () => {
  test("says that there is nothing yet, and what to do", async () => {
    service({ [LIST]: none });
    show(<RespaldosList />);
    expect(await screen.findByText("Todavía no hay respaldos")).toBeVisible();
    expect(screen.getByRole("link", { name: "Crear uno ahora" })).toHaveAttribute("href", "/panel/respaldos/nuevo");
  });

  test("has neither size, count nor proof of what failed, and says an empty clinic's are none", async () => {
    const failed = respaldo({ estado: "fallido", tamaño_bytes: 0, tamaño_mb: 0, numero_registros: 0, fecha_expiracion: null });
    service({ [LIST]: () => json([failed, respaldo({ id: 8, numero_registros: 0 })], { "X-Total-Count": "2" }) });
    show(<RespaldosList />);
    await screen.findByText("2 respaldos");
    const [, first, second] = screen.getAllByRole("row");
    expect(within(first as HTMLElement).getAllByText("—")).toHaveLength(3);
    expect(within(first as HTMLElement).queryByText(/0 bytes|registros/)).toBeNull();
    expect(second).toHaveTextContent("1,5 MB");
    expect(second).toHaveTextContent("0 registros");
  });

  test("has what was deleted where it can be taken back", async () => {
    let deleted = [respaldo({ puede_restaurar: false })];
    const asked = service({
      [LIST]: () => json(deleted, { "X-Total-Count": String(deleted.length) }),
      "POST /api/v1/respaldos/7/recuperar/": () => {
        deleted = [];
        return json({ mensaje: "", respaldo: respaldo() });
      },
    });
    show(<RespaldosList />, { at: "/respaldos" });
    await screen.findByText("1 respaldo");
    await userEvent.selectOptions(screen.getByLabelText("Estado"), "Eliminados, por recuperar");
    expect(window.location.search).toBe("?eliminados=true");
    await waitFor(() => expect(asked.at(-1)?.query.get("eliminados")).toBe("true"));
    await userEvent.click(await screen.findByRole("button", { name: "Recuperar el respaldo 7" }));
    expect(await screen.findByText("El respaldo 7 está de vuelta.")).toBeVisible();
    expect(await screen.findByText("Ningún respaldo es así")).toBeVisible();
  });

  test("says why it cannot be had, and is had on asking again", async () => {
    let down = true;
    service({ [LIST]: () => (down ? problem(500, "x", "Ocurrió un error inesperado") : none()) });
    show(<RespaldosList />);
    expect(await screen.findByRole("alert")).toHaveTextContent("Ocurrió un error inesperado");
    down = false;
    await userEvent.click(screen.getByRole("button", { name: "Volver a intentar" }));
    expect(await screen.findByText("Todavía no hay respaldos")).toBeVisible();
  });

  test("asks for what the address says, and keeps there what is chosen", async () => {
    const asked = service({ [LIST]: none });
    show(<RespaldosList />, { at: "/respaldos?estado=fallido&orden=tama%C3%B1o_bytes&desde=ayer" });
    expect(await screen.findByText("Ningún respaldo es así")).toBeVisible();
    expect(Object.fromEntries(asked[0]?.query ?? [])).toMatchObject({ estado: "fallido", orden: "tamaño_bytes", limit: "100" });
    expect(asked[0]?.query.has("desde")).toBe(false);
    await userEvent.selectOptions(screen.getByLabelText("Tipo"), "De cada noche");
    expect(new URLSearchParams(window.location.search).get("tipo")).toBe("automatico");
    await waitFor(() => expect(asked.at(-1)?.query.get("tipo_respaldo")).toBe("automatico"));
    await userEvent.click(screen.getByRole("button", { name: "Quitar filtros" }));
    expect(window.location.search).toBe(`?${new URLSearchParams({ orden: "tamaño_bytes" })}`);
  });

  test("has an address for each choice and no other", () => {
    const params = new URLSearchParams({ estado: "completado", tipo: "manual", desde: "2026-07-01", orden: "-numero_registros" });
    expect(toAddress(fromAddress(params)).toString()).toBe(params.toString());
    expect(toAddress(fromAddress(new URLSearchParams("estado=x&tipo=x&desde=x&orden=-fecha_respaldo"))).toString()).toBe("");
  });
});

describe("one backup", () => {
  const others = {
    [LIST]: () => json([respaldo({ id: 6 })], { "X-Total-Count": "1" }),
    "GET /api/v1/respaldos/6/": () =>
      json(respaldo({ id: 6, metadata: { ...respaldo().metadata, detalles_registros: { pacientes: 2990, consultas: 12_005 } } })),
    "GET /api/v1/restauraciones/": () =>
      json([restauracion({ id: 9, tipo: "verificacion", profundidad: "completa", simulada: false, resultado: {} })]),
    "GET /api/v1/eventos/": () =>
      json([
        evento({ id: 3, usuario: "superadmin@respaldos.example", accion: "aceptacion" }),
        evento({
          id: 4,
          accion: "restauracion",
          detalle: { estado: "pendiente", registros: ["pacientes:15", "odontologo:2"], etiquetas: { "pacientes:15": "Ana Muñoz" } },
        }),
        evento({ id: 2, usuario: "99", accion: "verificacion", detalle: { correcto: true } }),
        evento({ id: 1, usuario: "12", usuario_nombre: "Ana María Peñaranda" }),
      ]),
  };

  test("says how its second copies are", async () => {
    const copia = { destino: "oficina", estado: "fallida" as const, estado_display: "Falló", fecha: "2026-07-03T06:01:40+00:00" };
    const lost = { copias: [copia], solo_en_copia: "2026-07-05T06:00:00+00:00" };
    service({ ...others, [DETAIL]: () => json(respaldo(lost)) });
    show(<RespaldoDetail id={7} />);
    expect((await screen.findByText("Copia en «oficina»")).nextElementSibling).toHaveTextContent("Falló");
    expect(screen.getByText("Original").nextElementSibling).toHaveTextContent("se usa la copia");
  });

  test("shows what it holds, what changed, its file, its checks and who did what", async () => {
    service({ ...others, [DETAIL]: () => json(respaldo()) });
    show(<RespaldoDetail id={7} />);
    const bars = within((await screen.findByRole("heading", { name: "Qué contiene" })).closest("section")!);
    expect(await bars.findByText("+10")).toBeVisible();
    expect(bars.getByText("−5")).toBeVisible();
    expect(screen.getByText(/ocupa 83,3 % menos/)).toBeVisible();
    expect(screen.getByText("9e107d9d372bb6826bd81d3542a419d6")).toBeVisible();
    expect(await screen.findByText("Comprobación: completa")).toBeVisible();
    const trail = within((await screen.findByText("Ana María Peñaranda")).closest("ul")!);
    expect(trail.getAllByRole("listitem").map((line) => line.textContent)).toEqual([
      expect.stringContaining("superadmin@respaldos.example aceptó el respaldo"),
      expect.stringContaining("pidió restaurar este respaldoAna Muñoz (pacientes 15) y odontólogos 2"),
      expect.stringContaining("Usuario 99 comprobó el respaldo: está bien"),
      expect.stringContaining("Ana María Peñaranda pidió el enlace para descargar el archivo"),
    ]);
  });

  test("is held with a reason, and released; held, it is not deleted", async () => {
    const hold = { desde: "2026-07-05T07:00:00+00:00", hasta: null, motivo: "Lo pide el Ministerio", usuario: "Ana" };
    let found = respaldo();
    const answer = () => json({ mensaje: "", respaldo: found });
    const asked = service({
      ...others,
      [DETAIL]: () => json(found),
      [`POST /api/v1/respaldos/7/retener/`]: () => ((found = respaldo({ retenido: hold })), answer()),
      [`POST /api/v1/respaldos/7/liberar/`]: () => ((found = respaldo()), answer()),
    });
    show(<RespaldoDetail id={7} />);
    const user = userEvent.setup();
    await user.click(await screen.findByRole("button", { name: "Retener" }));
    const dialog = within(screen.getByRole("dialog"));
    await user.click(dialog.getByRole("button", { name: "Retener" }));
    await user.type(dialog.getByLabelText("Por qué se conserva"), "Lo pide el Ministerio");
    await user.click(dialog.getByRole("button", { name: "Retener" }));
    expect(await screen.findByText(/Nadie lo elimina mientras tanto/)).toBeVisible();
    expect(screen.queryByRole("button", { name: "Eliminar" })).toBeNull();
    expect(asked.filter(({ path }) => path.endsWith("/retener/")).map(({ body }) => body)).toEqual([
      { motivo: "Lo pide el Ministerio", hasta: null },
    ]);
    await user.click(screen.getByRole("button", { name: "Liberarlo" }));
    expect(await screen.findByRole("button", { name: "Eliminar" })).toBeVisible();
  });

  test("says since when nothing changed, where it has another one's file", async () => {
    const same = respaldo({ tipo_respaldo: "punto", fecha_respaldo: "2026-07-03T15:00:00+00:00", respaldo_base_id: 6 });
    service({ ...others, [DETAIL]: () => json({ ...same, sin_cambios_desde: "2026-07-03T14:00:00+00:00" }) });
    show(<RespaldoDetail id={7} />);
    expect(await screen.findByText(/sin cambios desde el respaldo de las 10:00 \(número 6\)/)).toBeVisible();
    expect(screen.getByText(/Eso fue con el respaldo del que es el archivo/)).toBeVisible();
  });

  test("is compared with the one before when somebody asks, record by record", async () => {
    const comparison = restauracion({ tipo: "comparacion", simulada: false, comparado_con: 6, estado: "pendiente", resultado: null });
    let found: Restauracion[] = [];
    const asked = service({
      ...others,
      [DETAIL]: () => json(respaldo()),
      "GET /api/v1/restauraciones/": () => json(found),
      "POST /api/v1/respaldos/7/comparar/": () => {
        found = [comparison];
        return json(comparison, {}, 202);
      },
    });
    show(<RespaldoDetail id={7} />);
    await userEvent.click(await screen.findByRole("button", { name: "Ver qué cambió desde el anterior" }));
    expect(await screen.findByRole("progressbar", { name: "Empezará en un momento" })).toBeVisible();
    expect(asked.find(({ method }) => method === "POST")?.body).toEqual({ desde: 6 });
    found = [{ ...comparison, estado: "completado", resultado: restauracion().resultado }];
    expect(await screen.findByText("Se agregaron 2, cambió 1 y se borraron 3 registros.", {}, { timeout: 3000 })).toBeVisible();
    expect(screen.getByRole("columnheader", { name: "Borrados" })).toBeVisible();
    expect(screen.queryByRole("button", { name: /qué cambió/ })).toBeNull();
  });

  test("says why it could not be compared, and can be compared again", async () => {
    service({
      ...others,
      [DETAIL]: () => json(respaldo()),
      "GET /api/v1/restauraciones/": () =>
        json([restauracion({ tipo: "comparacion", comparado_con: 6, estado: "fallido", resultado: null, error: "respaldo 6: el archivo está dañado" })]),
    });
    show(<RespaldoDetail id={7} />);
    expect(await screen.findByText("No se pudo comparar: respaldo 6: el archivo está dañado.")).toBeVisible();
    expect(screen.getByRole("button", { name: "Volver a comparar" })).toBeVisible();
  });

  test("is deleted only after a question that names it, and can be taken back", async () => {
    const asked = service({
      ...others,
      [DETAIL]: () => json(respaldo({ descripcion: "Antes del cambio" })),
      "DELETE /api/v1/respaldos/7/": () => new Response(null, { status: 204 }),
      "POST /api/v1/respaldos/7/recuperar/": () => json({ mensaje: "", respaldo: respaldo() }),
    });
    show(<RespaldoDetail id={7} />);
    await userEvent.click(await screen.findByRole("button", { name: "Eliminar" }));
    const question = screen.getByRole("dialog", { name: "¿Eliminar el respaldo 7?" });
    expect(question).toHaveTextContent("Antes del cambio");
    expect(question).toHaveTextContent("15.000 registros y 1,5 MB");
    expect(asked.some(({ method }) => method === "DELETE")).toBe(false);
    await userEvent.click(screen.getByRole("button", { name: "Eliminar el respaldo" }));
    await userEvent.click(await screen.findByRole("button", { name: "Deshacer" }));
    expect(await screen.findByText("El respaldo 7 está de vuelta.")).toBeVisible();
    expect(window.location.pathname).toBe("/panel/respaldos");
  });

  test("that is the last good one stays, and the person is told why", async () => {
    service({
      ...others,
      [DETAIL]: () => json(respaldo()),
      "DELETE /api/v1/respaldos/7/": () => problem(409, "ultimo_bueno", "El respaldo 7 es el último bueno"),
    });
    show(<RespaldoDetail id={7} />);
    await userEvent.click(await screen.findByRole("button", { name: "Eliminar" }));
    await userEvent.click(screen.getByRole("button", { name: "Eliminar el respaldo" }));
    expect(await screen.findByRole("alert")).toHaveTextContent("es el último bueno");
  });

  test("offers staff nothing that they may not do", async () => {
    const asked = service({ ...others, [DETAIL]: () => json(respaldo()) });
    show(<RespaldoDetail id={7} />, { clinica: { puede_administrar: false } });
    await screen.findByText("Qué contiene");
    for (const name of ["Restaurar", "Descargar", "Exportar", "Comprobar", "Eliminar"]) {
      expect(screen.queryByRole("button", { name })).toBeNull();
    }
    expect(screen.queryByRole("link", { name: "Restaurar" })).toBeNull();
    expect(asked.some(({ path }) => ["/api/v1/eventos/", "/api/v1/exportaciones/"].includes(path))).toBe(false);
  });

  test("of an encrypted one a download is a decrypted copy, which a worker makes", async () => {
    const asked = service({
      ...others,
      [DETAIL]: () => json(respaldo({ cifrado: true })),
      "GET /api/v1/exportaciones/": () => json([]),
      "POST /api/v1/respaldos/7/exportaciones/": () => json(exportacion({ formato: "json" }), {}, 202),
    });
    show(<RespaldoDetail id={7} />);
    expect(await screen.findByText("Sí, con una clave que es solo de esta clínica")).toBeVisible();
    await userEvent.click(screen.getByRole("button", { name: "Descargar" }));
    expect(screen.getByRole("radio", { name: /El respaldo mismo/ })).toBeChecked();
    await userEvent.click(screen.getByRole("button", { name: "Preparar los datos" }));
    await waitFor(() => expect(screen.queryByRole("dialog")).toBeNull());
    expect(asked.some(({ path }) => path.endsWith("/descargar/"))).toBe(false);
  });

  test("says of one whose key was destroyed that nobody can read it", async () => {
    service({
      ...others,
      [DETAIL]: () =>
        json(respaldo({ cifrado: true, clave_destruida: "2026-07-05T06:00:00+00:00", puede_restaurar: false })),
    });
    show(<RespaldoDetail id={7} />);
    expect(await screen.findByText("Nadie puede leer este respaldo:")).toBeVisible();
    expect(screen.queryByRole("button", { name: "Descargar" })).toBeNull();
  });

  test("tells of each export what there is to do, and of what came to nothing only the last", async () => {
    const gone = { disponible: false, archivo: null, vence: null } as const;
    const old = exportacion({ ...gone, id: 1, estado: "fallido", error: "no hay espacio" });
    let found = [exportacion({ ...gone, id: 3, formato: "csv", estado: "procesando", fecha_fin: null }), exportacion({ id: 2 }), old];
    const asked = service({
      ...others,
      [DETAIL]: () => json(respaldo()),
      "GET /api/v1/exportaciones/": () => json(found),
      "POST /api/v1/exportaciones/3/cancelar/": () => {
        found = [{ ...found[0]!, estado: "cancelado" }, old];
        return json(found[0], {}, 202);
      },
    });
    show(<RespaldoDetail id={7} />);
    const section = (await screen.findByRole("heading", { name: "Datos exportados" })).closest("section")!;
    expect(within(section).getByRole("button", { name: "Descargar: Para Excel" })).toBeEnabled();
    expect(section).toHaveTextContent("2 MB. Se descarga una sola vez, hasta el 6 jul 2026, 02:00.");
    expect(section).not.toHaveTextContent("no hay espacio");
    await userEvent.click(within(section).getByRole("button", { name: "Cancelar: CSV" }));
    expect(await within(section).findByText("Se canceló.")).toBeVisible();
    expect(section).toHaveFocus();
    expect(asked.filter(({ path }) => path.endsWith("/cancelar/")).length).toBe(1);
    expect(section).not.toHaveTextContent("no hay espacio");
  });

  test("of another clinic is not found", async () => {
    service({ [DETAIL]: () => problem(404, "respaldo_inexistente", "No existe el respaldo 7") });
    show(<RespaldoDetail id={7} />);
    expect(await screen.findByRole("alert")).toHaveTextContent("No existe el respaldo 7");
    expect(screen.queryByRole("button", { name: "Volver a intentar" })).toBeNull();
  });

  test("shows the most of it first, and every change", async () => {
    const many = Object.fromEntries(Array.from({ length: 20 }, (_, place) => [`tabla_${place}`, 20 - place]));
    show(<ModelBars counts={many} before={{ ...many, tabla_19: 0 }} />);
    const rows = screen.getAllByRole("row").slice(1);
    expect(rows).toHaveLength(13);
    expect(rows[0]).toHaveTextContent("Tabla 0");
    expect(rows[12]).toHaveTextContent("+1");
    await userEvent.click(screen.getByRole("button", { name: "Ver los 20" }));
    expect(screen.getAllByRole("row")).toHaveLength(21);
  });
});

describe("creating one", () => {
  const CREATE = "POST /api/v1/respaldos/crear_respaldo_manual/";

  test("goes from a description to the end", async () => {
    const pending = respaldo({ estado: "pendiente", numero_registros: 0, tamaño_bytes: 0, tamaño_mb: 0 });
    let ended = false;
    const asked = service({
      [LIST]: none,
      [CREATE]: () => json({ mensaje: "", respaldo: pending }, {}, 202),
      [DETAIL]: () => json(ended ? respaldo() : pending),
      "GET /api/v1/respaldos/7/progreso/": () => {
        ended = true;
        const running = { id: 7, estado: "procesando", progreso: { etapa: "leyendo", modelo: "pacientes", registros: 1200, porcentaje: 24 } };
        return new Response(`event: progreso\ndata: ${JSON.stringify(running)}\n\nevent: fin\ndata: ${JSON.stringify(respaldo())}\n\n`);
      },
    });
    show(<CrearRespaldo />, { at: "/respaldos/nuevo" });
    await userEvent.type(screen.getByLabelText(/Para qué es/), "Antes del cambio");
    await userEvent.click(screen.getByRole("button", { name: "Crear respaldo" }));
    expect(await screen.findByRole("heading", { name: "Listo: sus datos están guardados" })).toHaveFocus();
    expect(asked.find(({ method }) => method === "POST")?.body).toEqual({ descripcion: "Antes del cambio" });
    expect(window.location.search).toBe("?respaldo=7");
  });

  test("says in words why it failed, and what to do", async () => {
    const metadata = { ...respaldo().metadata, error: "el almacenamiento está lleno", error_type: "almacenamiento_lleno" };
    service({ [DETAIL]: () => json(respaldo({ estado: "fallido", metadata })) });
    show(<CrearRespaldo />, { at: "/respaldos/nuevo?respaldo=7" });
    expect(await screen.findByRole("heading", { name: "El respaldo falló" })).toBeVisible();
    expect(screen.getByText("El almacenamiento está lleno.")).toBeVisible();
    expect(screen.getByText(/No queda espacio/)).toBeVisible();
    await userEvent.click(screen.getByRole("button", { name: "Volver a intentarlo" }));
    expect(screen.getByLabelText(/Para qué es/)).toBeVisible();
  });

  test("says that it failed and is tried again, and which attempt that is", async () => {
    const metadata = { ...respaldo().metadata, error: "S3 no responde", error_type: "almacenamiento_no_disponible" };
    const again = (failed: number) => ({ ...metadata, intentos_fallidos: failed, intentos_maximos: 3 });
    service({ [DETAIL]: () => json(respaldo({ estado: "pendiente", metadata: again(1) })) });
    const { unmount } = show(<CrearRespaldo />, { at: "/respaldos/nuevo?respaldo=7" });
    expect(await screen.findByText("No salió; se intenta otra vez (2 de 3).")).toBeVisible();
    expect(screen.getByText(/S3 no responde/)).toBeVisible();
    unmount();
    service({ [DETAIL]: () => json(respaldo({ estado: "pendiente", metadata: again(0) })) });
    show(<CrearRespaldo />, { at: "/respaldos/nuevo?respaldo=7" });
    expect(await screen.findByText("Se interrumpió; se empieza otra vez.")).toBeVisible();
  });

  test("goes by the same name until an answer comes", async () => {
    const names: (string | null)[] = [];
    service({
      [LIST]: none,
      [CREATE]: (request) => {
        names.push(request.headers.get("Idempotency-Key"));
        if (names.length === 1) {
          throw new TypeError("cut off");
        }
        return problem(409, "sospechoso", "No se puede");
      },
      "GET /salud/viva": () => json({}),
    });
    show(<CrearRespaldo />, { at: "/respaldos/nuevo" });
    const press = async () => userEvent.click(screen.getByRole("button", { name: "Crear respaldo" }));
    await press();
    expect(await screen.findByText(/No se creó ninguno/, undefined, { timeout: 5000 })).toBeVisible();
    await press();
    expect(await screen.findByText(/No se puede/)).toBeVisible();
    await press();
    await waitFor(() => expect(names).toHaveLength(3));
    expect(names[0]).toMatch(/^[0-9a-f]{32}$/);
    expect([names[1] === names[0], names[2] === names[1]]).toEqual([true, false]);
  });

  test("leads to the one that is under way", async () => {
    service({ [LIST]: none, [CREATE]: () => problem(409, "operacion_en_curso", "La clínica 1 ya tiene un respaldo en curso") });
    show(<CrearRespaldo />, { at: "/respaldos/nuevo" });
    await userEvent.click(screen.getByRole("button", { name: "Crear respaldo" }));
    expect(await screen.findByRole("alert")).toHaveTextContent("se está haciendo un respaldo");
    expect(screen.getByRole("link", { name: "Ver el que está en curso" })).toBeVisible();
  });
});

describe("the summary", () => {
  test("begins with one sentence, and says what it costs", async () => {
    service({ "GET /api/v1/respaldos/estadisticas/": () => json(estadisticas({ situacion: "sin_verificar", ultima_verificacion: null })) });
    show(<EstadisticasRespaldos />);
    expect(await screen.findByRole("heading", { level: 1 })).toHaveTextContent("Sus datos están guardados, falta comprobarlos");
    expect(screen.getByText("menos de 0,01 USD")).toBeVisible();
    expect(screen.getByText("2 GB")).toBeVisible();
    expect(await screen.findByRole("img", { name: "Siempre 1,5 MB" })).toBeVisible();
    await userEvent.click(screen.getByRole("button", { name: "Comprobar ahora" }));
    expect(screen.getByRole("dialog", { name: "Comprobar el respaldo 7" })).toBeVisible();
  });

  test("has a square for each day that can be told without its colour", () => {
    const { serie } = estadisticas();
    const gap = { dia: "2026-07-04", estado: null, tamaño_mb: 0, segundos: 0 };
    show(<Calendar serie={[...serie, gap]} />);
    // Before the first one there was nothing to miss.
    expect(screen.queryByText(/1 de julio/)).toBeNull();
    expect(screen.getByText("4 de julio: sin respaldo")).toBeInTheDocument();
    expect(screen.getByText("2 de julio: falló")).toBeInTheDocument();
    expect(screen.getByText("3 de julio: bien")).toBeInTheDocument();
  });
});

describe("a clinic's policy", () => {
  const URL = "/api/v1/plataforma/clinicas/1/politica/";
  const vale = {
    hora: "02:00",
    dias: ["lunes", "martes"],
    minutos: 0,
    horario: "08:00-19:00",
    retencion_dias: 30,
    retencion_puntos_dias: 2,
    retencion_minimo: 1,
    retencion_diarios: 0,
    retencion_semanales: 0,
    retencion_mensuales: 0,
    retencion_anuales: 0,
    avisar: [],
    avisar_administradores: true,
  };
  const propia = { ...Object.fromEntries(Object.keys(vale).map((name) => [name, null])), dias: ["lunes", "martes"] };
  const politica = { clinica_id: 1, zona_horaria: "America/La_Paz", en_palabras: "Se respalda siempre.", como_todas: false, propia, vale };

  test("is said in words, and changed by who has seen what goes", async () => {
    const asked = service({
      [`GET ${URL}`]: () => json(politica),
      [`POST ${URL}`]: () =>
        json({
          politica,
          simulada: true,
          se_eliminarian: 2,
          se_liberarian_mb: 3,
          huella: "5f0c",
          ejemplos: [{ id: 7, fecha_respaldo: "2026-07-03T06:00:00+00:00", tamaño_mb: 1.5, razon: "tiene 10 días o más" }],
        }),
    });
    show(<Politica />, { clinica: { puede_programar: true } });
    expect(screen.getByText(/Se guarda cada respaldo 30 días\./)).toBeVisible();
    await userEvent.click(screen.getByRole("button", { name: /^Cambiar cuándo/ }));
    const days = await screen.findByLabelText("Cada respaldo, días");
    await userEvent.clear(days);
    await userEvent.type(days, "0");
    await userEvent.click(screen.getByRole("checkbox", { name: "domingo" }));
    await userEvent.type(screen.getByLabelText(/Correos/), "a@b.example{enter}c@d.example");
    await userEvent.click(screen.getByRole("button", { name: "Ver cómo queda" }));
    expect(await screen.findByText(/eliminaría 2 respaldos/)).toBeVisible();
    expect(screen.getByText("7: tiene 10 días o más")).toBeVisible();
    await userEvent.click(screen.getByRole("button", { name: "Guardar y eliminarlos" }));
    await waitFor(() => expect(screen.queryByRole("dialog")).toBeNull());
    const sent = { ...propia, retencion_dias: 10, dias: ["lunes", "martes", "domingo"], avisar: ["a@b.example", "c@d.example"] };
    expect(asked.filter(({ body }) => body !== null).map(({ body }) => body)).toEqual([
      { ...sent, simular: true },
      { ...sent, simular: false, huella: "5f0c" },
    ]);
  });

  test("is not changed by others", () => {
    service({});
    show(<Politica />);
    expect(screen.getByText(/Se respalda todos los días a las 2:00\./)).toBeVisible();
    expect(screen.queryByRole("button")).toBeNull();
  });
});

describe("restoring", () => {
  const routes = {
    [DETAIL]: () => json(respaldo()),
    "GET /api/v1/restauraciones/3/": () => json(restauracion()),
  };

  test("shows first what would change, and asks for the clinic's name", async () => {
    const asked = service({
      ...routes,
      "POST /api/v1/respaldos/7/restaurar/": async (request) => {
        const { simular } = (await request.json()) as { simular: boolean };
        return json(restauracion({ id: simular ? 3 : 4, simulada: simular, estado: "pendiente", resultado: null }), {}, 202);
      },
      "GET /api/v1/restauraciones/4/": () => json(restauracion({ id: 4, simulada: false, respaldo_previo: 8 })),
    });
    show(<RestorePage id={7} />, { at: "/respaldos/7/restaurar" });
    await userEvent.click(await screen.findByLabelText(/Exactamente como estaba/));
    await userEvent.click(screen.getByRole("button", { name: "Ver qué cambiaría" }));
    expect(await screen.findByRole("heading", { name: "Esto cambiaría" })).toHaveFocus();
    expect(screen.getByText(/Se agregan 2, se corrige 1 y se quitan 3 registros/)).toBeVisible();
    expect(screen.getByText("Av. Busch 1234")).toBeInTheDocument();
    expect(screen.queryByRole("rowheader", { name: "Consultas" })).toBeNull();

    await userEvent.type(screen.getByLabelText(/Por qué/), " Se borró por error ");
    await userEvent.type(screen.getByLabelText(/Para confirmar/), "Otra clínica");
    await userEvent.click(screen.getByRole("button", { name: "Restaurar ahora" }));
    expect(screen.getByRole("alert")).toHaveTextContent("No es el nombre de la clínica");
    expect(asked.filter(({ method }) => method === "POST")).toHaveLength(1);

    await userEvent.clear(screen.getByLabelText(/Para confirmar/));
    await userEvent.type(screen.getByLabelText(/Para confirmar/), CLINICA.nombre ?? "");
    await userEvent.click(screen.getByRole("button", { name: "Restaurar ahora" }));
    expect(await screen.findByRole("heading", { name: "Listo: los datos están como en el respaldo" })).toHaveFocus();
    expect(screen.getByRole("link", { name: "respaldo 8" })).toBeVisible();
    expect(asked.filter(({ method }) => method === "POST").map(({ body }) => body)).toEqual([
      { simular: true, modo: "todo" },
      { simular: false, modo: "todo", motivo: "Se borró por error" },
    ]);
  });

  test("says what the system knows today and the backup does not, whatever becomes of it", async () => {
    const avisos = ["uno", "dos", "tres", "«receta», tabla que el respaldo no conoce: 2 registros"];
    for (const changed of [{}, { resultado: {} }, { estado: "fallido", error: "falta una tabla" }] as const) {
      service({ ...routes, "GET /api/v1/restauraciones/3/": () => json(restauracion({ avisos, ...changed })) });
      const { unmount } = show(<RestorePage id={7} />, { at: "/respaldos/7/restaurar?restauracion=3" });
      expect(await screen.findByText("uno")).toBeVisible();
      expect(screen.getByText(/receta/)).not.toBeVisible();
      await userEvent.click(screen.getByText("1 aviso más"));
      expect(screen.getByText(/receta/)).toBeVisible();
      unmount();
    }
  });

  test("can be of some models, and of what is missing alone", async () => {
    const asked = service({ ...routes, "POST /api/v1/respaldos/7/restaurar/": () => problem(409, "x", "No se puede ahora") });
    show(<RestorePage id={7} />, { at: "/respaldos/7/restaurar" });
    await userEvent.click(await screen.findByLabelText(/Algunas cosas/));
    await userEvent.click(screen.getByRole("button", { name: "Ver qué cambiaría" }));
    expect(screen.getByRole("alert")).toHaveTextContent("Marque al menos una");
    await userEvent.click(screen.getByLabelText(/Consultas/));
    await userEvent.click(screen.getByRole("button", { name: "Ver qué cambiaría" }));
    expect(await screen.findByText(/No se puede ahora/)).toBeVisible();
    await userEvent.click(screen.getByLabelText(/También lo que cambió/));
    await userEvent.click(screen.getByRole("button", { name: "Ver qué cambiaría" }));
    await waitFor(() => expect(asked.filter(({ method }) => method === "POST")).toHaveLength(2));
    expect(asked.filter(({ method }) => method === "POST").map(({ body }) => body)).toEqual([
      { simular: true, modelos: ["consultas"], modo: "faltantes" },
      { simular: true, modelos: ["consultas"], modo: "cambiados" },
    ]);
  });

  test("asks why, and for the clinic's name only where something of today may go", async () => {
    const asked = service({
      ...routes,
      "GET /api/v1/restauraciones/3/": () => json(restauracion({ modo: "faltantes", registros: ["pacientes:15", "diente:81,16"] })),
      "POST /api/v1/respaldos/7/restaurar/": () => problem(409, "x", "No se puede ahora"),
    });
    show(<RestorePage id={7} />, { at: "/respaldos/7/restaurar?restauracion=3" });
    await userEvent.click(await screen.findByRole("button", { name: "Recuperar ahora" }));
    expect(screen.getByRole("alert")).toHaveTextContent("Escriba por qué se recupera");
    expect(screen.queryByLabelText(/Para confirmar/)).toBeNull();
    expect(asked.some(({ method }) => method === "POST")).toBe(false);
    await userEvent.type(screen.getByLabelText(/Por qué/), "Se borró");
    await userEvent.click(screen.getByRole("button", { name: "Recuperar ahora" }));
    expect(await screen.findByText("No se puede ahora. No se cambió nada.")).toBeVisible();
    expect(asked.find(({ method }) => method === "POST")?.body).toEqual({
      simular: false,
      registros: ["pacientes:15", "diente:81,16"],
      modo: "faltantes",
      motivo: "Se borró",
    });
  });

  test("is not offered where something of today is in the way", async () => {
    const conflicto = {
      modelo: "consultas",
      clave: { id: 81 },
      etiqueta: null,
      restriccion: "turno",
      valor: { turno: 4 },
      ocupado_por: { id: 95 },
      etiqueta_ocupado_por: null,
      explicacion: "«consultas» 81 no puede volver: «consultas» 95 tiene hoy su turno",
    };
    service({ ...routes, "GET /api/v1/restauraciones/3/": () => json(restauracion({ resultado: {}, conflictos: [conflicto] })) });
    show(<RestorePage id={7} />, { at: "/respaldos/7/restaurar?restauracion=3" });
    expect(await screen.findByText(/95 tiene hoy su turno/)).toBeVisible();
    expect(screen.queryByRole("button", { name: /ahora/ })).toBeNull();
  });

  test("that failed says why, and that nothing changed", async () => {
    const failed = restauracion({ simulada: false, estado: "fallido", error: "pacientes: otra clínica tiene esa clave" });
    service({ ...routes, "GET /api/v1/restauraciones/3/": () => json(failed) });
    show(<RestorePage id={7} />, { at: "/respaldos/7/restaurar?restauracion=3" });
    expect(await screen.findByRole("heading", { name: "No se restauró" })).toHaveFocus();
    expect(screen.getByText(/sus datos siguen como estaban/)).toBeVisible();
  });

  test("is not done by a preview from before another restore", async () => {
    let preview = restauracion({ registros: ["pacientes:15"] });
    const asked = service({
      ...routes,
      "GET /api/v1/restauraciones/3/": () => json(preview),
      "GET /api/v1/restauraciones/": () => json([restauracion({ id: 4, simulada: false })]),
      "POST /api/v1/respaldos/7/restaurar/": () => {
        preview = restauracion({ id: 5 });
        return json(preview, {}, 202);
      },
      "GET /api/v1/restauraciones/5/": () => json(preview),
    });
    show(<RestorePage id={7} />, { at: "/respaldos/7/restaurar?restauracion=3" });
    expect(await screen.findByRole("heading", { name: "Después de mirar esto ya se restauró" })).toBeVisible();
    expect(screen.getByText(/Solo pacientes 15, con lo suyo/)).toBeVisible();
    expect(screen.queryByRole("button", { name: "Restaurar ahora" })).toBeNull();
    await userEvent.click(screen.getByRole("button", { name: "Mirar otra vez" }));
    expect(await screen.findByRole("button", { name: "Restaurar ahora" })).toBeVisible();
    expect(asked.find(({ method }) => method === "POST")?.body).toEqual({
      simular: true,
      registros: ["pacientes:15"],
      modo: "todo",
    });
  });

  test("by a preview from long ago is not offered", async () => {
    const old = new Date(Date.now() - 11 * 60_000).toISOString();
    service({ ...routes, "GET /api/v1/restauraciones/3/": () => json(restauracion({ fecha_fin: old })) });
    show(<RestorePage id={7} />, { at: "/respaldos/7/restaurar?restauracion=3" });
    expect(await screen.findByRole("heading", { name: "Esto se miró hace rato" })).toBeVisible();
    expect(screen.queryByRole("button", { name: "Restaurar ahora" })).toBeNull();
  });

  test("is not asked for where nothing differs", async () => {
    service({ ...routes, "GET /api/v1/restauraciones/3/": () => json(restauracion({ resultado: {} })) });
    show(<RestorePage id={7} />, { at: "/respaldos/7/restaurar?restauracion=3" });
    expect(await screen.findByRole("heading", { name: "Todo está ya como en este respaldo" })).toBeVisible();
    expect(screen.queryByRole("button", { name: "Restaurar ahora" })).toBeNull();
  });

  test("takes the name however it is typed, but no other", () => {
    const name = "Centro Odontológico «El Cristo», Santa Cruz";
    expect(sameName(" centro odontologico el cristo - santa cruz", name)).toBe(true);
    expect(sameName("centroodontologico el cristo santacruz", name)).toBe(true);
    expect(sameName("Centro Odontológico", name)).toBe(false);
    expect(sameName("", name)).toBe(false);
    expect(sameName("Strasse ıl 1ª", "Straße-İL 1a")).toBe(true);
    // Nobody can type a name without letters otherwise.
    expect(sameName(" — ", "—")).toBe(true);
    expect(sameName("", "—")).toBe(false);
  });
});

describe("examples", () => {
  test("show all that the service says of a value, and records that look alike as several", () => {
    const secret = { clave: { token: "(no se muestra)" } };
    const campos = { nota: { antes: `${"a".repeat(150)}UNO`, despues: `${"a".repeat(150)}DOS` } };
    const examples = { insertados: [secret, secret], actualizados: [{ clave: { id: 1 }, campos }], eliminados: [] };
    const counts = { insertados: 2, actualizados: 1, eliminados: 0 };
    show(<ChangesTable changes={[{ name: "pacientes", counts, examples }]} tense="future" />);
    expect(screen.getAllByText("(no se muestra)")).toHaveLength(2);
    expect(screen.getByText(/UNO$/)).toBeInTheDocument();
    expect(screen.getByText(/DOS$/)).toBeInTheDocument();
  });

  test("say who and what, and what a field points to, before any key", () => {
    const campos = { cododontologo: { antes: 3, despues: 4, etiqueta_antes: "Carla Rojas", etiqueta_despues: "Luis Vaca" } };
    const example = { clave: { id: 81 }, etiqueta: "2026-07-02 · Ana María Muñoz", campos };
    const examples = { insertados: [], actualizados: [example], eliminados: [] };
    const counts = { insertados: 0, actualizados: 1, eliminados: 0 };
    show(<ChangesTable changes={[{ name: "consultas", counts, examples }]} tense="future" open />);
    expect(screen.getByText("2026-07-02 · Ana María Muñoz")).toBeVisible();
    expect(screen.getByText("N.º 81")).toHaveClass("small");
    expect(screen.getByText("Carla Rojas")).toBeVisible();
    expect(screen.getByText("Luis Vaca")).toBeVisible();
  });
});

describe("logging in", () => {
  test("says what was wrong, and asks for the clinic where there are several", async () => {
    const answers = [
      problem(401, "ingreso_rechazado", "El correo o la contraseña no son correctos"),
      problem(401, "ingreso_rechazado", "Diga a qué clínica ingresa, en «clinica»: 1, 2"),
      json({ token: "t", expira_en_segundos: 60, mensaje: "", usuario: {} }),
    ];
    const asked = service({ "POST /api/v1/auth/login/": () => answers.shift()! });
    let entered: unknown = null;
    show(<LoginForm onEntered={(found) => (entered = found.token)} />);
    await userEvent.type(screen.getByLabelText(/Correo/), "ana@clinica1.example");
    await userEvent.type(screen.getByLabelText("Contraseña"), "secreta{Enter}");
    expect(await screen.findByRole("alert")).toHaveTextContent("no son correctos");
    await userEvent.click(screen.getByRole("button", { name: "Ingresar" }));
    await userEvent.type(await screen.findByLabelText("Clínica"), "2");
    await userEvent.click(screen.getByRole("button", { name: "Ingresar" }));
    await waitFor(() => expect(entered).toBe("t"));
    expect(asked.at(-1)?.body).toEqual({ correo: "ana@clinica1.example", contraseña: "secreta", clinica: "2" });
    expect(asked.at(-1)?.authorization).toBeNull();
  });
});
