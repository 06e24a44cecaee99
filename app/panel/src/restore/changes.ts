import type { Restauracion } from "../api/client";
import { plain } from "../text/plain";

export type Kind = "insertados" | "actualizados" | "eliminados";

export const KINDS: Kind[] = ["insertados", "actualizados", "eliminados"];

/** A field as it is and as it will be; the labels are of the records that it points to. */
interface Field {
  antes: unknown;
  despues: unknown;
  etiqueta_antes?: string;
  etiqueta_despues?: string;
}

/** A record that changes: its key, what people call it and, of a corrected one, each field. */
export interface Example {
  clave: Record<string, unknown>;
  etiqueta?: string;
  campos?: Record<string, Field>;
}

/** A value as a person reads it; the service has cut it where it is long. */
export function shown(value: unknown): string {
  if (value === null || value === "") {
    return "(vacío)";
  }
  if (typeof value === "boolean") {
    return value ? "sí" : "no";
  }
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** What changes in one kind of records. */
export interface Changes {
  name: string;
  counts: Record<Kind, number>;
  examples: Record<Kind, Example[]>;
}

/** What a restore changes, or has changed, without what stays as it is. */
export function changesOf({ resultado }: Pick<Restauracion, "resultado">): Changes[] {
  return Object.entries(resultado ?? {}).flatMap(([name, found]) => {
    const said = found as Partial<Record<Kind, number>> & { ejemplos?: Partial<Record<Kind, Example[]>> };
    const each = <T>(value: (kind: Kind) => T) =>
      Object.fromEntries(KINDS.map((kind) => [kind, value(kind)])) as Record<Kind, T>;
    const counts = each((kind) => said[kind] ?? 0);
    return KINDS.some((kind) => counts[kind] > 0)
      ? [{ name, counts, examples: each((kind) => said.ejemplos?.[kind] ?? []) }]
      : [];
  });
}

export function totals(changes: Changes[]): Record<Kind, number> {
  const sum = (kind: Kind) => changes.reduce((before, { counts }) => before + counts[kind], 0);
  return { insertados: sum("insertados"), actualizados: sum("actualizados"), eliminados: sum("eliminados") };
}

const bare = (text: string): string => plain(text).replaceAll(/[^\p{L}\p{N}]/gu, "");

/**
 * Whether what was typed is the clinic's name: its letters and figures count, and not accents or capitals.
 *
 * A name without any is typed as it is. The service has the same rule (`same_name`).
 */
export function sameName(typed: string, name: string): boolean {
  return bare(name) === "" ? typed.trim() === name.trim() : bare(typed) === bare(name);
}
