// @vitest-environment node
import { describe, expect, test } from "vitest";

import { ago, calendarDay, Clock, count, dollars, megabytes, number, percent, seconds } from "../src/text/format";
import { became } from "../src/text/became";
import { safety } from "../src/text/safety";
import { hecho, modelo } from "../src/text/words";
import { estadisticas, registro } from "./service";

const NOW = Date.parse("2026-07-03T15:00:00Z");
const LA_PAZ = new Clock("America/La_Paz");

describe("numbers", () => {
  test("are written as in Bolivia", () => {
    expect(number(1_234_567)).toBe("1.234.567");
    expect(percent(98.92)).toBe("98,9 %");
    expect(count(1, "registro", "registros")).toBe("1 registro");
    expect(count(15_000, "registro", "registros")).toBe("15.000 registros");
  });

  test("of sizes have the unit that people know", () => {
    expect([megabytes(0.4), megabytes(1.5), megabytes(2048)]).toEqual(["410 kB", "1,5 MB", "2 GB"]);
  });

  test("of money never say that something costs nothing", () => {
    expect([dollars(0), dollars(0.0016), dollars(1.5)]).toEqual(["0,00 USD", "menos de 0,01 USD", "1,50 USD"]);
  });

  test("of time grow from seconds to minutes", () => {
    expect([seconds(4.381), seconds(125)]).toEqual(["4,4 s", "2 min 5 s"]);
  });
});

describe("moments", () => {
  test.each([
    ["2026-07-03T14:59:30Z", "hace un momento"],
    ["2026-07-03T12:00:00Z", "hace 3 horas"],
    ["2026-07-02T12:00:00Z", "ayer"],
    ["2026-06-23T15:00:00Z", "hace 10 días"],
    ["2026-07-03T15:20:00Z", "dentro de 20 minutos"],
  ])("%s is %s", (moment, said) => expect(ago(moment, NOW)).toBe(said));

  test("are those of the clinic's clock, not of the computer's", () => {
    // A quarter to midnight in La Paz is tomorrow in London.
    const late = "2026-07-03T03:45:00Z";
    expect(LA_PAZ.spoken(late, NOW)).toBe("ayer a las 23:45");
    expect(new Clock("Europe/London").spoken(late, NOW)).toBe("hoy a las 04:45");
    expect(LA_PAZ.full("2026-07-03T06:00:00Z")).toMatch(/^3 jul\.? 2026,? 02:00$/);
  });

  test("of the last days go by the day's name", () => {
    expect(LA_PAZ.spoken("2026-06-28T06:00:00Z", NOW)).toBe("el domingo a las 02:00");
    expect(LA_PAZ.spokenDay("2026-05-28T06:00:00Z", NOW)).toBe("el 28 de mayo de 2026");
    expect(calendarDay("2026-07-03")).toBe("3 de julio");
  });
});

describe("what became of a record", () => {
  const found = registro();
  test.each([
    [{}, "se eliminó entre ayer a las 02:00 y hoy a las 02:00"],
    [{ estado: "cambio", eliminado_entre: null }, "cambió: hoy no está como ayer a las 02:00"],
    [{ estado: "igual", eliminado_entre: null }, "está igual que ayer a las 02:00"],
    [{ estado: "nuevo", eliminado_entre: null, en_respaldo: null, fecha_respaldo: null }, "se anotó después del último respaldo"],
  ] as const)("%o", (changed, words) => {
    expect(became({ ...found, ...changed, eliminado_entre: "eliminado_entre" in changed ? null : found.eliminado_entre }, LA_PAZ, NOW)).toBe(words);
  });
});

describe("what somebody did", () => {
  test.each([
    ["restauracion", { estado: "completado", simulada: false }, "restauró este respaldo"],
    ["restauracion", { estado: "pendiente", simulada: true }, "pidió ver qué cambiaría al restaurar"],
    ["restauracion", { estado: "fallido", simulada: false }, "no pudo restaurar este respaldo: nada cambió"],
    ["verificacion", { correcto: null, error: "S3 no responde" }, "no pudo comprobar el respaldo"],
    ["verificacion", { correcto: false }, "comprobó el respaldo: está dañado"],
    ["creacion", {}, "pidió el respaldo"],
  ] as const)("%s %o: %s", (accion, detalle, said) => expect(hecho({ accion, detalle })).toBe(said));
});

describe("whether the data are safe", () => {
  const said = (changed: Parameters<typeof estadisticas>[0]) => safety(estadisticas(changed), LA_PAZ, NOW);
  const proof = estadisticas().ultima_verificacion;

  test("is the first thing that is said", () => {
    expect(said({ ultima_verificacion: { ...proof!, respaldo_id: 7 } })).toEqual({
      tone: "good",
      sentence: "Sus datos están a salvo",
      reason: "Último respaldo hoy a las 02:00, comprobado el domingo.",
      advice: null,
    });
  });

  test("says of no other backup that it was checked", () => {
    expect(said({}).reason).toBe("Último respaldo hoy a las 02:00. La última comprobación fue el domingo, con el respaldo 2.");
  });

  test.each([
    ["sin_respaldo", { ultimo_bueno: null, total_respaldos: 0 }, "bad", "crear", "Cree el primero"],
    ["atrasada", { ultimo_bueno: { id: 1, fecha: "2026-06-30T06:00:00Z", tamaño_mb: 1 } }, "bad", "crear", "hace 3 días"],
    ["fallando", { fallos_seguidos: 2 }, "bad", "crear", "Lo anterior sigue guardado"],
    ["sin_verificar", { ultima_verificacion: null }, "warn", "comprobar", "Aún no se ha probado"],
    ["sin_verificar", { ultima_verificacion: { ...proof!, error: "no coincide" } }, "warn", "comprobar", "con el respaldo 2"],
    ["inactiva", {}, "plain", null, "No se hacen respaldos nuevos"],
  ] as const)("%s asks for what helps", (situacion, changed, tone, advice, reason) => {
    const found = said({ situacion, ...changed });
    expect(found).toMatchObject({ tone, advice });
    expect(found.reason).toContain(reason);
  });
});

test("a kind of records that nobody has named goes by its table's name", () => {
  expect([modelo("historiales_clinicos"), modelo("clinica_7.pagos_extra")]).toEqual(["Historiales clínicos", "Pagos extra"]);
});
