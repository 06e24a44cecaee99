import type { Restauracion } from "../api/client";

export type Kind = "insertados" | "actualizados" | "eliminados";

export const KINDS: Kind[] = ["insertados", "actualizados", "eliminados"];

/** A record that changes: what it is known by and, of a corrected one, each field as it is and as it will be. */
export interface Example {
  clave: Record<string, unknown>;
  campos?: Record<string, { antes: unknown; despues: unknown }>;
}

/** What changes in one kind of records. */
export interface Changes {
  name: string;
  counts: Record<Kind, number>;
  examples: Record<Kind, Example[]>;
}

/** What a restore changes, or has changed, without what stays as it is. */
export function changesOf({ resultado }: Restauracion): Changes[] {
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

const bare = (text: string): string =>
  text
    .normalize("NFD")
    .replaceAll(/\p{M}/gu, "")
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}]+/gu, " ")
    .trim();

/** Whether what was typed is the clinic's name: spaces, quotes, dashes, accents and capitals are not what matters. */
export function sameName(typed: string, name: string): boolean {
  return bare(typed) !== "" && bare(typed) === bare(name);
}
