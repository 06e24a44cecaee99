import { useEffect, useRef, useState, type FormEvent } from "react";

import type { RespaldoDetalle, Restauracion } from "../api/client";
import { useRestaurar, type Seleccion } from "../api/queries";
import { useClinic } from "../shell/clinic";
import { Notice } from "../ui/Notice";
import { sameName, changesOf, totals } from "./changes";
import { ChangesTable, summary } from "./ChangesTable";

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
  const changes = changesOf(found);
  useEffect(() => heading.current?.focus(), []);

  if (changes.length === 0) {
    return (
      <section className="card stack ended good">
        <h2 ref={heading} tabIndex={-1}>
          Todo está ya como en este respaldo
        </h2>
        <p>No hay nada que restaurar.</p>
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
      const seleccion: Seleccion = {
        ...(found.modelos === null ? {} : { modelos: found.modelos }),
        ...(found.registro === null ? {} : { registro: found.registro }),
      };
      restaurar.mutate({ id: respaldo.id, simular: false, seleccion }, { onSuccess: ({ id }) => started(id) });
    }
  }

  const all = totals(changes);
  return (
    <>
      <section className="card stack">
        <h2 ref={heading} tabIndex={-1}>
          Esto cambiaría
        </h2>
        <p>{summary(all, "future")} Nada ha cambiado todavía.</p>
        <ChangesTable changes={changes} tense="future" />
        {found.avisos.map((aviso) => (
          <Notice key={aviso} tone="warn">
            {aviso}
          </Notice>
        ))}
        <button type="button" className="link" onClick={back}>
          Elegir otra cosa
        </button>
      </section>
      <form className="card stack danger" onSubmit={submit} noValidate>
        <h2>Confirmar</h2>
        <ul className="plain-list">
          <li>
            Lo de <strong>{name}</strong> vuelve a estar como el {clock.full(respaldo.fecha_respaldo)}.
          </li>
          {all.eliminados > 0 ? (
            <li>
              <strong>Se quita lo que se anotó después</strong>, como dice la tabla de arriba.
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
    </>
  );
}
