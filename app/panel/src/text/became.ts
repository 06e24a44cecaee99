import type { Registro } from "../api/client";
import type { Clock } from "./format";

/** What became of a record, and since when: «se eliminó entre ayer a las 02:00 y hoy a las 02:00». */
export function became(found: Registro, clock: Clock, now: number): string {
  const then = found.fecha_respaldo === null ? "" : clock.spoken(found.fecha_respaldo, now);
  switch (found.estado) {
    case "eliminado": {
      const [last, gone] = found.eliminado_entre ?? [found.visto_hasta, found.visto_hasta];
      return `se eliminó entre ${clock.spoken(last, now)} y ${clock.spoken(gone, now)}`;
    }
    case "cambio":
      return `cambió: hoy no está como ${then}`;
    case "igual":
      return `está igual que ${then}`;
    case "nuevo":
      return "se anotó después del último respaldo";
  }
}
