import { useEffect, useRef, useState, type FormEvent } from "react";

import type { Modo } from "../api/client";
import { useRestaurar } from "../api/queries";
import { Modes } from "../restore/Modes";
import { useClinic } from "../shell/clinic";
import { Notice } from "../ui/Notice";
import { usualMode, type ChosenRecord } from "./record";

interface ChosenProps {
  chosen: ChosenRecord[];
  previewed: (restauracionId: number) => void;
  back: () => void;
}

/** What was picked, all of one backup, and how far it is to come back. Next comes the preview. */
export function Chosen({ chosen, previewed, back }: ChosenProps) {
  const { clock } = useClinic();
  const heading = useRef<HTMLHeadingElement>(null);
  const [modo, setModo] = useState<Modo>(() => usualMode(chosen));
  const restaurar = useRestaurar();
  useEffect(() => heading.current?.focus(), []);
  const respaldo = chosen[0];
  if (respaldo === undefined) {
    return null;
  }

  function submit(event: FormEvent) {
    event.preventDefault();
    if (!restaurar.isPending && respaldo !== undefined) {
      const seleccion = { registros: chosen.map(({ registro }) => registro), modo };
      restaurar.mutate({ id: respaldo.respaldo, simular: true, seleccion }, { onSuccess: ({ id }) => previewed(id) });
    }
  }

  return (
    <form className="card stack" onSubmit={submit}>
      <h2 ref={heading} tabIndex={-1}>
        Lo que eligió
      </h2>
      <ul className="plain-list">
        {chosen.map(({ registro, etiqueta, que }) => (
          <li key={registro}>
            <strong>{etiqueta}</strong>, {que}, con todo lo suyo
          </li>
        ))}
      </ul>
      <p>
        Vuelve del respaldo del <strong>{clock.full(respaldo.fecha)}</strong>.
      </p>
      <Modes modo={modo} set={setModo} />
      {restaurar.error === null ? null : (
        <Notice tone="bad" alert>
          {restaurar.error.message}
        </Notice>
      )}
      <p className="muted">Primero verá qué cambiaría. Hasta que usted lo confirme, nada cambia.</p>
      <div className="actions">
        <button className="button primary" aria-disabled={restaurar.isPending}>
          {restaurar.isPending ? "Pidiéndolo…" : "Ver qué volvería"}
        </button>
        <button type="button" className="button" onClick={back}>
          Elegir otra cosa
        </button>
      </div>
    </form>
  );
}
