import { useState } from "react";
import { Link } from "wouter";

import { useRespaldos } from "../api/queries";
import { useClinic } from "../shell/clinic";
import { Notice } from "../ui/Notice";

/** The other way: a backup, and then the whole clinic or a few kinds of records as they were in it. */
export function WholeBackup() {
  const { clock } = useClinic();
  const { at, total, error } = useRespaldos({ estado: "completado" }, [0]);
  const [chosen, setChosen] = useState<number | null>(null);
  const found = Array.from({ length: Math.min(total ?? 0, 100) }, (_, place) => at(place)).filter(
    (each) => each?.puede_restaurar === true,
  );
  const id = chosen ?? found[0]?.id;
  return (
    <section className="card stack" aria-labelledby="entero">
      <h2 id="entero">Restaurar un respaldo entero</h2>
      <p>Si fue mucho lo que se perdió o se cambió, la clínica puede volver a estar como un día.</p>
      {error === null ? null : <Notice tone="bad">{error.message}</Notice>}
      {total === 0 ? <p className="muted">Todavía no hay ningún respaldo.</p> : null}
      {id === undefined ? null : (
        <div className="pair search-end">
          <label className="field">
            <span>Como estaba el</span>
            <select value={id} onChange={(event) => setChosen(Number(event.target.value))}>
              {found.map((each) =>
                each === undefined ? null : (
                  <option key={each.id} value={each.id}>
                    {clock.full(each.fecha_respaldo)}
                    {each.descripcion === "" ? "" : ` — ${each.descripcion}`}
                  </option>
                ),
              )}
            </select>
          </label>
          <Link href={`/respaldos/${id}/restaurar`} className="button">
            Seguir con este respaldo
          </Link>
        </div>
      )}
    </section>
  );
}
