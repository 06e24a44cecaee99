import { useId, useState, type ReactNode } from "react";

import type { Registro } from "../api/client";
import type { Search } from "../api/search";
import { Said } from "../restore/Said";
import { useClinic } from "../shell/clinic";
import { became } from "../text/became";
import { count, number } from "../text/format";
import { plain } from "../text/plain";
import { sentence } from "../text/sentence";
import { campo, unRegistro } from "../text/words";
import { Badge } from "../ui/Badge";
import { Notice } from "../ui/Notice";
import { useNow } from "../ui/useNow";
import { History } from "./History";
import { recordOf, type ChosenRecord } from "./record";

/** What people look for is gone, most often; then it was changed. The rest can be many, and is closed beside these. */
const KINDS: { estados: Registro["estado"][]; title: string; lost: boolean }[] = [
  { estados: ["eliminado"], title: "Ya no están", lost: true },
  { estados: ["cambio"], title: "Cambiaron", lost: true },
  { estados: ["igual", "nuevo"], title: "Están hoy, sin cambios", lost: false },
];

interface ResultsProps {
  search: Search;
  error: Error | null;
  dias: number;
  again: () => void;
  chosen: ChosenRecord[];
  setChosen: (chosen: ChosenRecord[]) => void;
  /** Told of one record as it was at another time, which is all that is to come back. */
  only: (record: ChosenRecord) => void;
}

/** What was found so far, to be ticked, and how far the search is. */
export function Results({ search, error, dias, again, chosen, setChosen, only }: ResultsProps) {
  const [opened, setOpened] = useState<{ modelo: string; clave: string } | null>(null);
  const { found, end } = search;
  const respaldo = chosen[0]?.respaldo;
  const isChosen = ({ modelo, clave }: Registro) => chosen.some(({ registro }) => registro === `${modelo}:${clave}`);
  return (
    <section className="stack" aria-label="Lo que se encontró" aria-busy={end === null && error === null}>
      <SearchState search={search} error={error} again={again} />
      {KINDS.map(({ estados, title, lost }) => ({
        title,
        lost,
        ofKind: found.filter(({ estado }) => estados.includes(estado)),
      })).map(({ title, lost, ofKind }) => (
        <Kind
          key={title}
          title={title}
          found={ofKind}
          open={lost || ofKind.length === found.length || ofKind.some(isChosen)}
        >
          {lost ? <TickAll found={ofKind} chosen={chosen} setChosen={setChosen} /> : null}
          <ul className="found">
            {ofKind.map((each) => (
              <Result
                key={each.numero}
                found={each}
                respaldo={respaldo}
                ticked={isChosen(each)}
                tick={(ticked, record) =>
                  setChosen(ticked ? [...chosen, record] : chosen.filter(({ registro }) => registro !== record.registro))
                }
                open={(clave) => setOpened({ modelo: each.modelo, clave })}
              />
            ))}
          </ul>
        </Kind>
      ))}
      <Said avisos={end?.avisos ?? []} />
      {opened === null ? null : (
        <History {...opened} dias={dias} only={only} onClose={() => setOpened(null)} />
      )}
    </section>
  );
}

function SearchState({ search: { found, end }, error, again }: Pick<ResultsProps, "search" | "error" | "again">) {
  const many = count(found.length, "registro", "registros");
  if (error !== null) {
    return (
      <Notice tone="bad" alert>
        <p>{sentence(error.message)}</p>
        <button type="button" className="button" onClick={again}>
          Volver a buscar
        </button>
      </Notice>
    );
  }
  if (end === null) {
    return (
      <div className="progress">
        <p role="status">
          Buscando en los respaldos…{found.length === 0 ? "" : ` Hasta ahora ${many}; ya puede marcar lo que busca.`}
        </p>
        <progress aria-label="Buscando en los respaldos" />
      </div>
    );
  }
  return (
    <p role="status">
      {found.length === 0
        ? "No se encontró nada con esas palabras. Pruebe con menos palabras, o busque en respaldos más antiguos."
        : `Se ${found.length === 1 ? "encontró" : "encontraron"} ${many}.`}
      {end.hay_mas ? " Hay más de los que se muestran: escriba otra palabra para encontrar menos." : ""}
    </p>
  );
}

interface KindProps {
  title: string;
  found: Registro[];
  open: boolean;
  children: ReactNode;
}

function Kind({ title, found, open, children }: KindProps) {
  return found.length === 0 ? null : (
    <details className="kind" open={open}>
      <summary>
        {title} <span className="muted">({number(found.length)})</span>
      </summary>
      {children}
    </details>
  );
}

/** Ticks all that come back from one backup: the one of what is ticked already, or that of the first. */
function TickAll({ found, chosen, setChosen }: Pick<ResultsProps, "chosen" | "setChosen"> & { found: Registro[] }) {
  const records = found.map(recordOf).filter((record) => record !== null);
  const respaldo = chosen[0]?.respaldo ?? records[0]?.respaldo;
  const ticked = new Set(chosen.map(({ registro }) => registro));
  const left = records.filter((record) => record.respaldo === respaldo && !ticked.has(record.registro));
  return records.length < 2 || left.length === 0 ? null : (
    <button type="button" className="link" onClick={() => setChosen([...chosen, ...left])}>
      Marcar {left.length === records.length ? "todos" : `los otros ${number(left.length)}`}
    </button>
  );
}

const STATE = {
  eliminado: { tone: "bad", word: "Eliminado" },
  cambio: { tone: "warn", word: "Cambió" },
  igual: { tone: "good", word: "Igual" },
  nuevo: { tone: "plain", word: "Nuevo" },
} as const;

interface ResultProps {
  found: Registro;
  /** From which backup come those that are ticked already, if any. */
  respaldo: number | undefined;
  ticked: boolean;
  tick: (ticked: boolean, record: ChosenRecord) => void;
  /** Told of its key, where it has one. */
  open: (clave: string) => void;
}

function Result({ found, respaldo, ticked, tick, open }: ResultProps) {
  const { clock } = useClinic();
  const now = useNow();
  const note = useId();
  const own = recordOf(found);
  const { tone, word } = STATE[found.estado];
  const { clave, coincidencia } = found;
  const label = found.etiqueta === "" ? `${unRegistro(found.modelo)} ${found.clave ?? ""}` : found.etiqueta;
  const otherBackup = own !== null && respaldo !== undefined && own.respaldo !== respaldo;
  return (
    <li>
      <label className={own === null ? "choice none" : "choice"}>
        {own === null ? null : (
          <input
            type="checkbox"
            checked={ticked}
            aria-disabled={otherBackup}
            aria-describedby={note}
            onChange={(event) => (otherBackup ? undefined : tick(event.target.checked, own))}
          />
        )}
        <span>
          <span className="found-name">
            <strong>{label}</strong> <span className="muted">{unRegistro(found.modelo)}</span>{" "}
            <Badge tone={tone}>{word}</Badge>
          </span>
          <span>{sentence(became(found, clock, now))}</span>
          {plain(label).includes(plain(coincidencia.extracto)) ? null : (
            <span className="muted small">
              En {campo(coincidencia.columna)} dice «{coincidencia.extracto}».
            </span>
          )}
          <span id={note} className="muted small">
            {own === null ? notAlone(found) : `Vuelve del respaldo del ${clock.full(own.fecha)}.`}
            {otherBackup ? " Es otro respaldo que el de lo que ya marcó: recupérelo después, aparte." : ""}
          </span>
        </span>
      </label>
      {clave === null ? null : (
        <button type="button" className="link" onClick={() => open(clave)} aria-label={`Ver campo por campo: ${label}`}>
          Ver campo por campo
        </button>
      )}
    </li>
  );
}

function notAlone({ clave, en_respaldo }: Registro): string {
  return en_respaldo === null
    ? "Ningún respaldo lo tiene todavía."
    : clave === null
      ? "No se puede recuperar por separado; vuelve al restaurar el respaldo entero."
      : "";
}
