import { useEffect, useRef } from "react";
import { Link } from "wouter";

import type { RespaldoDetalle, Restauracion } from "../api/client";
import { useRestaurar, useRestauraciones, type Seleccion } from "../api/queries";
import { useClinic } from "../shell/clinic";
import { MODO } from "../text/words";
import { Notice } from "../ui/Notice";
import { useNow } from "../ui/useNow";
import { changesOf, totals } from "./changes";
import { ChangesTable, summary } from "./ChangesTable";
import { Confirm } from "./Confirm";
import { Said } from "./Said";
import { scopeOf } from "./scope";

/** What people write meanwhile, a preview does not know: after so long it is to be looked at again (milliseconds). */
const FRESH = 10 * 60_000;

interface PreviewProps {
  found: Restauracion;
  respaldo: RespaldoDetalle;
  started: (restauracionId: number) => void;
  back: () => void;
}

/** What restoring would do, exactly; and the question. */
export function Preview({ found, respaldo, started, back }: PreviewProps) {
  const { clock } = useClinic();
  const heading = useRef<HTMLHeadingElement>(null);
  const others = useRestauraciones(respaldo.id).data?.entries ?? [];
  const later = others.find(({ id, tipo, simulada }) => tipo === "restauracion" && !simulada && id > found.id);
  const now = useNow();
  const looked = found.fecha_fin ?? found.fecha_creacion;
  const old = now - Date.parse(looked) > FRESH;
  const seleccion: Seleccion = {
    ...(found.modelos === null ? {} : { modelos: found.modelos }),
    ...(found.registros === null ? {} : { registros: found.registros }),
    modo: found.modo,
  };
  const changes = changesOf(found);
  useEffect(() => heading.current?.focus(), []);

  if (changes.length === 0 && found.conflictos.length === 0) {
    return (
      <section className="card stack ended good">
        <h2 ref={heading} tabIndex={-1}>
          {NOTHING[found.modo]}
        </h2>
        <p>
          No hay nada que restaurar. Si algo le falta, puede estar en un respaldo anterior:{" "}
          <Link href="/recuperar">búsquelo por su nombre</Link>.
        </p>
        <Said avisos={found.avisos} />
        <button type="button" className="button" onClick={back}>
          Elegir otra cosa
        </button>
      </section>
    );
  }
  return (
    <>
      <section className="card stack">
        <h2 ref={heading} tabIndex={-1}>
          {later === undefined ? "Esto cambiaría" : "Esto habría cambiado"}
        </h2>
        <p className="muted">
          {scopeOf(found)}. {MODO[found.modo].word}. Así estaba {clock.spoken(looked, now)}.
        </p>
        {changes.length === 0 ? null : (
          <p>
            {summary(totals(changes), "future")} {later === undefined ? "Nada ha cambiado todavía." : null}
          </p>
        )}
        {changes.length === 0 ? null : <ChangesTable changes={changes} tense="future" open={found.registros !== null} />}
        <Said avisos={found.avisos} />
        <button type="button" className="link" onClick={back}>
          Elegir otra cosa
        </button>
      </section>
      {found.conflictos.length > 0 ? (
        <InTheWay found={found} />
      ) : later !== undefined || old ? (
        <LookAgain found={found} seleccion={seleccion} restored={later !== undefined} looked={started} />
      ) : (
        <Confirm found={found} respaldo={respaldo} seleccion={seleccion} started={started} />
      )}
    </>
  );
}

const NOTHING: Record<Restauracion["modo"], string> = {
  faltantes: "No falta nada de este respaldo",
  cambiados: "No falta ni cambió nada de este respaldo",
  todo: "Todo está ya como en este respaldo",
};

/** Why it cannot be restored so: somebody else has today what only one can have. */
function InTheWay({ found: { conflictos } }: { found: Restauracion }) {
  return (
    <section className="card stack danger">
      <h2>Así no se puede recuperar</h2>
      <p>Algo de hoy ocupa el lugar de lo que volvería. Primero cambie eso en su sistema, o elija otra cosa:</p>
      <ul className="plain-list">
        {conflictos.map(({ explicacion }) => (
          <li key={explicacion}>{explicacion}.</li>
        ))}
      </ul>
    </section>
  );
}

interface LookAgainProps {
  found: Restauracion;
  seleccion: Seleccion;
  /** Whether there was a restore since; otherwise it is only long ago. */
  restored: boolean;
  looked: (restauracionId: number) => void;
}

/** A preview that may not be true any more is not a reason to restore. */
function LookAgain({ found, seleccion, restored, looked }: LookAgainProps) {
  const restaurar = useRestaurar();
  return (
    <section className="card stack">
      <h2>{restored ? "Después de mirar esto ya se restauró" : "Esto se miró hace rato"}</h2>
      <p>
        {restored
          ? "Lo de arriba ya no es lo que cambiaría hoy."
          : "Desde entonces pudo cambiar algo. Mírelo otra vez antes de restaurar."}
      </p>
      <div className="actions">
        <button
          type="button"
          className="button primary"
          aria-disabled={restaurar.isPending}
          onClick={() => {
            if (!restaurar.isPending) {
              restaurar.mutate(
                { id: found.respaldo_id, simular: true, seleccion },
                { onSuccess: ({ id }) => looked(id) },
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
  );
}
