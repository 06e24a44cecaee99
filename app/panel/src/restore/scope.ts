import type { Restauracion } from "../api/client";
import { changesOf, KINDS, keyOf } from "./changes";
import { modelo } from "../text/words";

/** Of many records, so many are named. */
const NAMED = 3;

const list = (names: string[]): string => new Intl.ListFormat("es", { type: "conjunction" }).format(names);

/** What of the clinic a restore is about: «Todo», «Solo pacientes y consultas», «Solo Ana Muñoz, con lo suyo». */
export function scopeOf(found: Pick<Restauracion, "modelos" | "registros" | "resultado">): string {
  const { modelos, registros } = found;
  if (registros !== null) {
    const names = registros.slice(0, NAMED).map((registro) => called(registro, found));
    const more = registros.length - names.length;
    return `Solo ${list(more > 0 ? [...names, `${more} más`] : names)}, con lo suyo`;
  }
  return modelos === null ? "Todo" : `Solo ${list(modelos.map((name) => modelo(name).toLowerCase()))}`;
}

/** By its label, where the result has it among its examples. */
function called(registro: string, found: Pick<Restauracion, "resultado">): string {
  const [name = "", ...rest] = registro.split(":");
  const key = rest.join(":");
  const examples = changesOf(found).find((each) => each.name === name)?.examples;
  const label = examples && KINDS.flatMap((kind) => examples[kind]).find((each) => keyOf(each) === key)?.etiqueta;
  return label ?? `${modelo(name).toLowerCase()} ${key}`;
}
