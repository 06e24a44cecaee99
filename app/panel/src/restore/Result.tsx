import { useEffect, useRef } from "react";
import { Link } from "wouter";

import type { Restauracion } from "../api/client";
import { useConstancia } from "../api/queries";
import { sentence } from "../text/sentence";
import { useToast } from "../ui/toast";
import { changesOf, totals } from "./changes";
import { ChangesTable, summary } from "./ChangesTable";
import { Said } from "./Said";
import { scopeOf } from "./scope";

const DONE: Record<Restauracion["modo"], string> = {
  faltantes: "Listo: lo que faltaba está de vuelta",
  cambiados: "Listo: volvió lo que faltaba y lo que había cambiado",
  todo: "Listo: los datos están como en el respaldo",
};

interface RestoredProps {
  found: Restauracion;
  /** Where there may be more to look for. */
  more?: (() => void) | undefined;
}

/** What a restore has done. The heading takes the focus, so that a screen reader reads it. */
export function Restored({ found, more }: RestoredProps) {
  const heading = useRef<HTMLHeadingElement>(null);
  const changes = changesOf(found);
  const constancia = useConstancia();
  const toast = useToast();
  useEffect(() => heading.current?.focus(), []);
  return (
    <section className="card stack ended good">
      <h2 ref={heading} tabIndex={-1}>
        {DONE[found.modo]}
      </h2>
      {found.modelos === null && found.registros === null ? null : <p className="muted">{scopeOf(found)}.</p>}
      <p role="status">
        {changes.length === 0 ? "Todo estaba ya así; no hizo falta cambiar nada." : summary(totals(changes), "past")} Se
        volvió a leer todo y coincide.
      </p>
      {changes.length === 0 ? null : <ChangesTable changes={changes} tense="past" open={found.registros !== null} />}
      <Said avisos={found.avisos} />
      {found.respaldo_previo === null ? null : (
        <p>
          ¿No era lo que quería? Cómo estaba todo antes quedó en el{" "}
          <Link href={`/respaldos/${found.respaldo_previo}`}>respaldo {found.respaldo_previo}</Link>.
        </p>
      )}
      <div className="actions">
        <Link href="/" className="button primary">
          Ir al resumen
        </Link>
        <button
          type="button"
          className="button"
          disabled={constancia.isPending}
          onClick={() =>
            constancia.mutate(
              { de: "restauracion", id: found.id },
              { onError: (error) => toast({ tone: "bad", text: error.message }) },
            )
          }
        >
          {constancia.isPending ? "Emitiendo…" : "Constancia en PDF"}
        </button>
        {more === undefined ? null : (
          <button type="button" className="button" onClick={more}>
            Recuperar algo más
          </button>
        )}
      </div>
    </section>
  );
}

/** Why it did not happen, and what that means. */
export function Failed({ found, again }: { found: Restauracion; again: () => void }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus(), []);
  return (
    <section className="card stack ended bad">
      <h2 ref={heading} tabIndex={-1}>
        {found.simulada ? "No se pudo ver qué cambiaría" : "No se restauró"}
      </h2>
      <p>{sentence(found.error ?? "No se sabe por qué")}</p>
      <Said avisos={found.avisos} />
      <p className="muted">
        {found.simulada ? "Nada cambió." : "Nada cambió: sus datos siguen como estaban antes de empezar."}
      </p>
      <div className="actions">
        <button type="button" className="button primary" onClick={again}>
          Volver a elegir
        </button>
      </div>
    </section>
  );
}
