import type { Modo, Registro } from "../api/client";
import { unRegistro } from "../text/words";

/** A record that is to come back, and the backup that it comes back from. */
export interface ChosenRecord {
  /** As the service writes it: «modelo:clave». */
  registro: string;
  etiqueta: string;
  /** What it is: «paciente». */
  que: string;
  respaldo: number;
  fecha: string;
  /** Whether it is there today, otherwise than in the backup. */
  cambio: boolean;
}

/** How a record that was found can come back; null where no backup has it, or it cannot be had by itself. */
export function recordOf(found: Registro): ChosenRecord | null {
  return found.clave === null || found.en_respaldo === null || found.fecha_respaldo === null
    ? null
    : {
        registro: `${found.modelo}:${found.clave}`,
        etiqueta: found.etiqueta,
        que: unRegistro(found.modelo),
        respaldo: found.en_respaldo,
        fecha: found.fecha_respaldo,
        cambio: found.estado === "cambio",
      };
}

/** What is meant, most likely: what was deleted comes back; where something was changed, that, too. */
export function usualMode(chosen: ChosenRecord[]): Modo {
  return chosen.some(({ cambio }) => cambio) ? "cambiados" : "faltantes";
}
