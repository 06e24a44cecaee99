import type { Orden } from "../api/client";
import type { Filtros } from "../api/queries";
import { ESTADO, TIPO } from "../text/words";

const ORDERS: Orden[] = [
  "-fecha_respaldo",
  "fecha_respaldo",
  "-tamaño_bytes",
  "tamaño_bytes",
  "-numero_registros",
  "numero_registros",
];

/** What an address asks for; what it says that nobody could mean is left out. */
export function fromAddress(params: URLSearchParams): Filtros {
  const one = <T extends string>(name: string, known: readonly T[]): T | undefined =>
    known.find((each) => each === params.get(name));
  const day = (name: string): string | undefined => {
    const found = params.get(name) ?? "";
    return /^[12][0-9]{3}-[01][0-9]-[0-3][0-9]$/.test(found) && !Number.isNaN(Date.parse(found)) ? found : undefined;
  };
  return {
    estado: one("estado", Object.keys(ESTADO) as (keyof typeof ESTADO)[]),
    tipo_respaldo: one("tipo", Object.keys(TIPO) as (keyof typeof TIPO)[]),
    desde: day("desde"),
    hasta: day("hasta"),
    eliminados: one("eliminados", ["true"] as const),
    orden: one("orden", ORDERS),
  };
}

/** The same as an address; what is as it would be anyway is not said. */
export function toAddress({ estado, tipo_respaldo: tipo, desde, hasta, eliminados, orden }: Filtros): URLSearchParams {
  const params = new URLSearchParams();
  const said = { estado, tipo, desde, hasta, eliminados, orden: orden === "-fecha_respaldo" ? undefined : orden };
  for (const [name, value] of Object.entries(said)) {
    if (value !== undefined && value !== "") {
      params.set(name, value);
    }
  }
  return params;
}
