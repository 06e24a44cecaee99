import { useEffect, useRef, useState, type FormEvent } from "react";

import type { RespaldoDetalle, Restauracion } from "../api/client";
import { useRestaurar, useRestauraciones, type Seleccion } from "../api/queries";
import { useClinic } from "../shell/clinic";
import { scopeOf } from "../text/scope";
import { Notice } from "../ui/Notice";
import { useNow } from "../ui/useNow";
import { sameName, changesOf, totals } from "./changes";
import { ChangesTable, summary } from "./ChangesTable";
import { Said } from "./Said";

/** What people write meanwhile, a preview does not know: after so long it is to be looked at again (milliseconds). */
const FRESH = 10 * 60_000;

interface PreviewProps {
  found: Restauracion;
  respaldo: RespaldoDetalle;
  started: (restauracionId: number) => void;
  back: () => void;
}

/** What restoring would do, exactly; and the question, answered by typing the clinic's name. */
export function Preview({ found, respaldo, started, back }: PreviewProps) {
  const { clinica, clock } = useClinic();
  const name = clinica.nombre ?? `Clínica ${clinica.clinica_id}`;
  const heading = useRef<HTMLHeadingElement>(null);
  const [typed, setTyped] = useState("");
  const [refused, setRefused] = useState(false);
  const restaurar = useRestaurar();
  const others = useRestauraciones(respaldo.id).data?.entries ?? [];
  const later = others.find(({ id, tipo, simulada }) => tipo === "restauracion" && !simulada && id > found.id);
  const now = useNow();
  const looked = found.fecha_fin ?? found.fecha_creacion;
  const old = now - Date.parse(looked) > FRESH;
  const part = found.modelos !== null || found.registro !== null;
  const seleccion: Seleccion = {
    ...(found.modelos === null ? {} : { modelos: found.modelos }),
    ...(found.registro === null ? {} : { registro: found.registro }),
  };
  const changes = changesOf(found);
  useEffect(() => heading.current?.focus(), []);

  if (changes.length === 0) {
    return (
      <section className="card stack ended good">
        <h2 ref={heading} tabIndex={-1}>
          Todo está ya como en este respaldo
        </h2>
        <p>No hay nada que restaurar.</p>
        <Said avisos={found.avisos} />
        <button type="button" className="button" onClick={back}>
          Elegir otra cosa
        </button>
      </section>
    );
  }

  function submit(event: FormEvent) {
    event.preventDefault();
    if (!sameName(typed, name)) {
      setRefused(true);
      return;
    }
    setRefused(false);
    if (!restaurar.isPending) {
      restaurar.mutate({ id: respaldo.id, simular: false, seleccion }, { onSuccess: ({ id }) => started(id) });
    }
  }

  const all = totals(changes);
  return (
    <>
      <section className="card stack">
        <h2 ref={heading} tabIndex={-1}>
          {later === undefined ? "Esto cambiaría" : "Esto habría cambiado"}
        </h2>
        <p className="muted">
          {scopeOf(found)}. Así estaba {clock.spoken(looked, now)}.
        </p>
        <p>
          {summary(all, "future")} {later === undefined ? "Nada ha cambiado todavía." : null}
        </p>
        <ChangesTable changes={changes} tense="future" />
        <Said avisos={found.avisos} />
        <button type="button" className="link" onClick={back}>
          Elegir otra cosa
        </button>
      </section>
      {later !== undefined || old ? (
        <section className="card stack">
          <h2>{later === undefined ? "Esto se miró hace rato" : "Después de mirar esto ya se restauró"}</h2>
          <p>
            {later === undefined
              ? "Desde entonces pudo cambiar algo. Mírelo otra vez antes de restaurar."
              : "Lo de arriba ya no es lo que cambiaría hoy."}
          </p>
          <div className="actions">
            <button
              type="button"
              className="button primary"
              aria-disabled={restaurar.isPending}
              onClick={() => {
                if (!restaurar.isPending) {
                  restaurar.mutate(
                    { id: respaldo.id, simular: true, seleccion },
                    { onSuccess: ({ id }) => started(id) },
                  );
                }
              }}
            >
              Mirar otra vez
            </button>
          </div>
          {restaurar.error === null ? null : (
            <Notice tone="bad" alert>
              {restaurar.error.message}
            </Notice>
          )}
        </section>
      ) : (
        <form className="card stack danger" onSubmit={submit} noValidate>
          <h2>Confirmar</h2>
          <ul className="plain-list">
            <li>
              <strong>{part ? scopeOf(found) : `Todo lo de ${name}`}</strong> vuelve a estar como el{" "}
              {clock.full(respaldo.fecha_respaldo)}
              {part ? "; lo demás no se toca" : ""}.
            </li>
            {all.eliminados > 0 ? (
              <li>
                <strong>Se quita lo que se anotó después</strong>, también lo que alguien anote mientras usted lee esto.
              </li>
            ) : null}
            <li>Antes se guarda cómo está todo ahora, por si quiere volver atrás.</li>
            <li>Las demás clínicas no se tocan.</li>
          </ul>
          <label className="field">
            <span>
              Para confirmar, escriba el nombre de la clínica: <strong>{name}</strong>
            </span>
            <input
              value={typed}
              autoComplete="off"
              spellCheck={false}
              aria-invalid={refused}
              onChange={(event) => setTyped(event.target.value)}
            />
          </label>
          {refused ? (
            <Notice tone="bad" alert>
              No es el nombre de la clínica. Escríbalo como está arriba.
            </Notice>
          ) : null}
          {restaurar.error === null ? null : (
            <Notice tone="bad" alert>
              {restaurar.error.message}. No se cambió nada.
            </Notice>
          )}
          <div className="actions">
            <button className="button danger" aria-disabled={!sameName(typed, name) || restaurar.isPending}>
              {restaurar.isPending ? "Empezando…" : "Restaurar ahora"}
            </button>
          </div>
        </form>
      )}
    </>
  );
}
