import type { Restauracion } from "../api/client";
import { modelo } from "../text/words";

/** Of many records, so many are named. */
const NAMED = 3;

const list = (names: string[]): string => new Intl.ListFormat("es", { type: "conjunction" }).format(names);

/** What of the clinic a restore is about: «Todo», «Solo pacientes y consultas», «Solo Ana Muñoz, con lo suyo». */
export function scopeOf(found: Pick<Restauracion, "modelos" | "registros" | "etiquetas">): string {
  const { modelos, registros } = found;
  if (registros !== null) {
    const names = registros.slice(0, NAMED).map((registro) => called(registro, found.etiquetas));
    const more = registros.length - names.length;
    return `Solo ${list(more > 0 ? [...names, `${more} más`] : names)}, con lo suyo`;
  }
  return modelos === null ? "Todo" : `Solo ${list(modelos.map((name) => modelo(name).toLowerCase()))}`;
}

/** A record that was asked for, by its label with the key behind it, where there is one. */
export function called(registro: string, etiquetas: Record<string, unknown>): string {
  const [name = "", ...rest] = registro.split(":");
  const key = `${modelo(name).toLowerCase()} ${rest.join(":")}`;
  const label = etiquetas[registro];
  return typeof label === "string" ? `${label} (${key})` : key;
}

/** The records that a line of the audit trail names; null where it names none. */
export function namedIn({ registros, etiquetas, numero_registros }: Record<string, unknown>): string | null {
  if (!Array.isArray(registros)) {
    return null;
  }
  const labels = typeof etiquetas === "object" && etiquetas !== null ? (etiquetas as Record<string, unknown>) : {};
  const names = registros.slice(0, NAMED).map((registro) => called(String(registro), labels));
  const more = (typeof numero_registros === "number" ? numero_registros : registros.length) - names.length;
  return list(more > 0 ? [...names, `${more} más`] : names);
}
