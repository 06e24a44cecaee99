import { useEffect, useState, type FormEvent } from "react";

import { ApiError, type RespaldoDetalle, type Restauracion } from "../api/client";
import { useRestaurar, useRestauraciones, type Seleccion } from "../api/queries";
import { useClinic } from "../shell/clinic";
import { sentence } from "../text/sentence";
import { Notice } from "../ui/Notice";
import { changesOf, sameName, totals } from "./changes";
import { scopeOf } from "./scope";

/** As long as a backup's description. */
const LONGEST = 500;

interface ConfirmProps {
  /** The preview that was read. */
  found: Restauracion;
  respaldo: RespaldoDetalle;
  seleccion: Seleccion;
  started: (restauracionId: number) => void;
}

/** Says once more what will be done, and asks why; where today's data may go, for the clinic's name, too. */
export function Confirm({ found, respaldo, seleccion, started }: ConfirmProps) {
  const { clinica, clock } = useClinic();
  const name = clinica.nombre?.trim() || `Clínica ${clinica.clinica_id}`;
  const [typed, setTyped] = useState("");
  const [motivo, setMotivo] = useState("");
  const [refused, setRefused] = useState<"name" | "reason" | null>(null);
  const restaurar = useRestaurar();
  const [failedAt, setFailedAt] = useState(0);
  const unknown = useLostRestore(found, restaurar.error, failedAt, started);
  const part = found.modelos !== null || found.registros !== null;
  const asksName = found.modo === "todo" || (found.modo === "cambiados" && found.registros === null);

  function submit(event: FormEvent) {
    event.preventDefault();
    const missing = asksName && !sameName(typed, name) ? "name" : motivo.trim() === "" ? "reason" : null;
    setRefused(missing);
    if (missing === null && !restaurar.isPending && !unknown) {
      restaurar.mutate(
        { id: respaldo.id, simular: false, seleccion: { ...seleccion, motivo: motivo.trim() } },
        { onSuccess: ({ id }) => started(id), onError: () => setFailedAt(Date.now()) },
      );
    }
  }

  return (
    <form className={`card stack ${asksName ? "danger" : ""}`} onSubmit={submit} noValidate>
      <h2>Confirmar</h2>
      <ul className="plain-list">
        {found.modo === "faltantes" ? (
          <li>
            <strong>Se agrega solo lo que falta</strong>, como estaba el {clock.full(respaldo.fecha_respaldo)}. Lo que hay
            hoy no se toca, tampoco lo que alguien anote mientras tanto.
          </li>
        ) : (
          <li>
            <strong>{part ? scopeOf(found) : `Todo lo de ${name}`}</strong>
            {found.modo === "todo" ? " vuelve a estar como el " : ": vuelve lo que falta, y lo que cambió queda como el "}
            {clock.full(respaldo.fecha_respaldo)}
            {part ? "; lo demás no se toca" : ""}.
          </li>
        )}
        {found.modo === "cambiados" ? <li>No se quita nada.</li> : null}
        {totals(changesOf(found)).eliminados > 0 ? (
          <li>
            <strong>Se quita lo que se anotó después</strong>, también lo que alguien anote mientras usted lee esto.
          </li>
        ) : null}
        <li>Antes se guarda cómo está todo ahora, por si quiere volver atrás.</li>
        <li>Las demás clínicas no se tocan.</li>
      </ul>
      <label className="field">
        <span>¿Por qué se recupera?</span>
        <input
          value={motivo}
          maxLength={LONGEST}
          placeholder="Por ejemplo: se borró por error"
          aria-invalid={refused === "reason"}
          onChange={(event) => setMotivo(event.target.value)}
        />
        <span className="muted small">Queda anotado con su nombre, y va en el aviso por correo.</span>
      </label>
      {asksName ? (
        <label className="field">
          <span>
            Para confirmar, escriba el nombre de la clínica: <strong>{name}</strong>
          </span>
          <input
            value={typed}
            autoComplete="off"
            spellCheck={false}
            aria-invalid={refused === "name"}
            onChange={(event) => setTyped(event.target.value)}
          />
          <span className="muted small">No importan mayúsculas, acentos, guiones ni espacios.</span>
        </label>
      ) : null}
      {refused === null ? null : (
        <Notice tone="bad" alert>
          {refused === "name"
            ? "No es el nombre de la clínica, que está arriba."
            : "Escriba por qué se recupera: una frase basta."}
        </Notice>
      )}
      {restaurar.error === null ? null : (
        <Notice tone="bad" alert>
          {sentence(restaurar.error.message)}{" "}
          {unknown ? "No se sabe si se alcanzó a pedir: se mira apenas vuelva a responder." : "No se cambió nada."}
        </Notice>
      )}
      <div className="actions">
        <button
          className={`button ${asksName ? "danger" : "primary"}`}
          aria-disabled={(asksName && !sameName(typed, name)) || restaurar.isPending || unknown}
        >
          {restaurar.isPending ? "Empezando…" : found.registros === null ? "Restaurar ahora" : "Recuperar ahora"}
        </button>
      </div>
    </form>
  );
}

/**
 * Where the answer to the request was lost, looks whether it arrived, and goes on with that restore if so.
 *
 * Returns whether that is not known yet. `failedAt` is when no answer came (milliseconds since 1970).
 */
function useLostRestore(
  found: Restauracion,
  error: Error | null,
  failedAt: number,
  started: (restauracionId: number) => void,
): boolean {
  const lost = error instanceof ApiError && error.offline;
  // The list is asked for again by itself once the service is back.
  const { data, dataUpdatedAt } = useRestauraciones(found.respaldo_id);
  const arrived = data?.entries.find(({ id, tipo, simulada }) => tipo === "restauracion" && !simulada && id > found.id);
  useEffect(() => {
    if (lost && arrived !== undefined) {
      started(arrived.id);
    }
  }, [lost, arrived, started]);
  return lost && dataUpdatedAt < failedAt;
}
