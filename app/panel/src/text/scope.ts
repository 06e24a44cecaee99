import type { Restauracion } from "../api/client";
import { modelo } from "./words";

/** What of the clinic a restore is about: «Todo», «Solo pacientes y consultas», «Solo pacientes 15, con lo suyo». */
export function scopeOf({ modelos, registro }: Pick<Restauracion, "modelos" | "registro">): string {
  if (registro !== null) {
    const [name = "", ...key] = registro.split(":");
    return `Solo ${modelo(name).toLowerCase()} ${key.join(":")}, con lo suyo`;
  }
  if (modelos !== null) {
    const names = modelos.map((name) => modelo(name).toLowerCase());
    return `Solo ${new Intl.ListFormat("es", { type: "conjunction" }).format(names)}`;
  }
  return "Todo";
}
