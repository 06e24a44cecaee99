import type { RespaldoDetalle } from "../api/client";
import { number } from "../text/format";
import { sentence } from "../text/sentence";
import { remedy } from "../text/words";
import { Notice } from "../ui/Notice";

/** Of a backup that failed, in the order of the mail about it: what that means, what to do, and what exactly happened. */
export function Failed({ respaldo: { metadata } }: { respaldo: RespaldoDetalle }) {
  const { error } = metadata;
  return (
    <>
      <p>
        Sus datos no cambiaron, y los respaldos anteriores siguen guardados. Lo que se anotó después del último respaldo
        bueno todavía no tiene copia.
      </p>
      <p>{remedy(metadata["error_type"])}</p>
      <div className="small">
        <p className="muted">Para quien le ayude, lo que pasó exactamente:</p>
        <p>{sentence(typeof error === "string" && error !== "" ? error : "no se sabe por qué")}</p>
      </div>
    </>
  );
}

/** Says of a backup that is not done yet that it failed before, and which attempt this is. */
export function Retrying({ respaldo: { estado, metadata } }: { respaldo: RespaldoDetalle }) {
  const { error, intentos_fallidos: failed, intentos_maximos: most } = metadata;
  const runs = estado === "pendiente" || estado === "procesando";
  if (!runs || typeof error !== "string" || typeof failed !== "number" || typeof most !== "number") {
    return null;
  }
  return (
    <Notice tone="warn">
      <p>
        {/* What a restart of the service interrupts is no failure. */}
        <strong>
          {failed === 0
            ? "Se interrumpió; se empieza otra vez."
            : `No salió; se intenta otra vez (${number(failed + 1)} de ${number(most)}).`}
        </strong>{" "}
        No hace falta que haga nada.
      </p>
      <p className="small">Para quien le ayude: {sentence(error)}</p>
    </Notice>
  );
}
