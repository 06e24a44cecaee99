import type { RegistroEntero } from "../api/client";
import { useRegistroEntero } from "../api/queries";
import { shown } from "../restore/changes";
import { Said } from "../restore/Said";
import { useClinic } from "../shell/clinic";
import { number, type Clock } from "../text/format";
import { campo, modelo as kind, unRegistro } from "../text/words";
import { Notice } from "../ui/Notice";
import { Loading } from "../ui/states";

interface WholeProps {
  modelo: string;
  clave: string;
  /** The backup; null for today. */
  respaldo: number | null;
}

/** All that a record says in one backup, or today, and what depends on it there. */
export function Whole({ modelo, clave, respaldo }: WholeProps) {
  const { clock } = useClinic();
  const { data, error } = useRegistroEntero(modelo, clave, respaldo);
  if (data === undefined) {
    return error === null ? (
      <Loading what="Leyendo todo lo que dice…" />
    ) : (
      <Notice tone="bad" alert>
        {error.message}
      </Notice>
    );
  }
  return (
    <div className="whole">
      {[...new Set(data.campos.map((each) => each.modelo))].map((name) => (
        <section key={name} aria-label={kind(name)}>
          {name === data.modelo ? null : <h3>Como {unRegistro(name)}</h3>}
          <dl className="fields">
            {data.campos
              .filter((each) => each.modelo === name)
              .map((each) => (
                <div key={each.columna}>
                  <dt>{campo(each.columna)}</dt>
                  <dd>
                    {each.etiqueta === null ? (
                      said(each.valor, clock)
                    ) : (
                      <>
                        {each.etiqueta} <span className="muted small">{shown(each.valor)}</span>
                      </>
                    )}
                  </dd>
                </div>
              ))}
          </dl>
        </section>
      ))}
      <Dependents found={data.dependientes} />
      <Said avisos={data.avisos} />
    </div>
  );
}

/** A value as a person reads it; a moment as everywhere else. */
function said(value: unknown, clock: Clock): string {
  const moment = typeof value === "string" && /^\d{4}-\d\d-\d\dT\d\d:\d\d.*([+-]\d\d:\d\d|Z)$/.test(value);
  return moment ? clock.full(value) : shown(value);
}

/** What depends on a record, by kind, and the first of each. */
export function Dependents({ found }: { found: RegistroEntero["dependientes"] }) {
  return found.length === 0 ? null : (
    <details>
      <summary>Qué depende de este registro</summary>
      <ul>
        {found.map(({ modelo, cantidad, ejemplos }) => (
          <li key={modelo}>
            <strong>
              {kind(modelo)}: {number(cantidad)}
            </strong>
            <ul className="plain-list">
              {ejemplos.map(({ clave, etiqueta }) => (
                <li key={`${clave} ${etiqueta}`}>
                  {etiqueta} {clave === null ? null : <span className="muted small">{clave}</span>}
                </li>
              ))}
              {cantidad > ejemplos.length ? <li className="muted">y {number(cantidad - ejemplos.length)} más</li> : null}
            </ul>
          </li>
        ))}
      </ul>
    </details>
  );
}
