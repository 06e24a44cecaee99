import type { Estadisticas } from "../api/client";
import type { Tone } from "./words";
import { ago, type Clock } from "./format";

/** Whether the clinic's data are safe: one sentence, what it rests on, and what to do about it. */
export interface Safety {
  tone: Tone;
  sentence: string;
  reason: string;
  advice: "crear" | "comprobar" | null;
}

export function safety(found: Estadisticas, clock: Clock, now: number): Safety {
  const good = found.ultimo_bueno;
  const proof = found.ultima_verificacion;
  const last = good === null ? "" : `último respaldo bueno ${clock.spoken(good.fecha, now)}`;
  const proven = proof === null || proof.error !== null ? null : clock.spokenDay(proof.fecha, now);
  switch (found.situacion) {
    case "al_dia":
      return {
        tone: "good",
        sentence: "Sus datos están a salvo",
        reason: `Último respaldo ${clock.spoken(good?.fecha ?? "", now)}${
          proven === null
            ? ", sin comprobar."
            : proof?.respaldo_id === good?.id
              ? `, comprobado ${proven}.`
              : `. La última comprobación fue ${proven}, con el respaldo ${proof?.respaldo_id}.`
        }`,
        advice: null,
      };
    case "sin_verificar":
      return {
        tone: "warn",
        sentence: proof?.error ? "La última comprobación falló" : "Sus datos están guardados, falta comprobarlos",
        reason: proof?.error
          ? `Falló ${clock.spokenDay(proof.fecha, now)} con el respaldo ${proof.respaldo_id}; el ${last}.`
          : `Último respaldo ${clock.spoken(good?.fecha ?? "", now)}. ${
              proven === null ? "Aún no se ha probado que se pueda recuperar." : `No se comprueba desde ${ago(proof?.fecha ?? "", now)}.`
            }`,
        advice: "comprobar",
      };
    case "fallando":
      return {
        tone: "bad",
        sentence: found.fallos_seguidos === 1 ? "El último respaldo falló" : `Los últimos ${found.fallos_seguidos} respaldos fallaron`,
        reason: `Lo anterior sigue guardado: ${last}.`,
        advice: "crear",
      };
    case "atrasada":
      return {
        tone: "bad",
        sentence: "Sus datos de hoy no están respaldados",
        reason: `El ${last}, ${ago(good?.fecha ?? "", now)}. Lo de después no está guardado.`,
        advice: "crear",
      };
    case "sin_respaldo":
      return {
        tone: "bad",
        sentence: "Todavía no hay ningún respaldo bueno",
        reason:
          found.total_respaldos === 0
            ? "Cree el primero ahora; después se hará uno cada noche."
            : "Ninguno de los que hay sirve para recuperar sus datos.",
        advice: "crear",
      };
    default:
      return {
        tone: "plain",
        sentence: "Esta clínica está inactiva",
        reason: good === null ? "No tiene respaldos." : `No se hacen respaldos nuevos; el ${last}.`,
        advice: null,
      };
  }
}
