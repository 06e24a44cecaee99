import { count, number } from "../text/format";
import { campo, modelo } from "../text/words";
import { KINDS, shown, type Changes, type Example, type Kind } from "./changes";

/** Whether restoring would do it, has done it, or it happened between two backups. */
type Tense = "future" | "past" | "between";

/** Of one, and of several. */
const VERBS: Record<Tense, Record<Kind, [string, string]>> = {
  future: {
    insertados: ["se agrega", "se agregan"],
    actualizados: ["se corrige", "se corrigen"],
    eliminados: ["se quita", "se quitan"],
  },
  past: {
    insertados: ["se agregó", "se agregaron"],
    actualizados: ["se corrigió", "se corrigieron"],
    eliminados: ["se quitó", "se quitaron"],
  },
  between: {
    insertados: ["se agregó", "se agregaron"],
    actualizados: ["cambió", "cambiaron"],
    eliminados: ["se borró", "se borraron"],
  },
};
const HEADS: Record<Tense, Record<Kind, string>> = {
  future: { insertados: "Se agregan", actualizados: "Se corrigen", eliminados: "Se quitan" },
  past: { insertados: "Agregados", actualizados: "Corregidos", eliminados: "Quitados" },
  between: { insertados: "Agregados", actualizados: "Cambiados", eliminados: "Borrados" },
};
const SIGN: Record<Kind, string> = { insertados: "+", actualizados: "~", eliminados: "−" };
const RESTORED: Record<Kind, [string, string]> = {
  insertados: ["estaba entonces y hoy no", "estaban entonces y hoy no"],
  actualizados: ["hoy es distinto", "hoy son distintos"],
  eliminados: ["hoy está y entonces no", "hoy están y entonces no"],
};
const WHY: Record<Tense, Record<Kind, [string, string]>> = {
  future: RESTORED,
  past: RESTORED,
  between: {
    insertados: ["es nuevo", "son nuevos"],
    actualizados: ["cambió", "cambiaron"],
    eliminados: ["ya no está", "ya no están"],
  },
};

const form = (many: number): 0 | 1 => (many === 1 ? 0 : 1);

/** «Se agregan 2, se corrigen 5 y se quitan 3 registros.» */
export function summary(all: Record<Kind, number>, tense: Tense): string {
  const said = KINDS.filter((kind) => all[kind] > 0).map(
    (kind) => `${VERBS[tense][kind][form(all[kind])]} ${number(all[kind])}`,
  );
  const total = KINDS.reduce((sum, kind) => sum + all[kind], 0);
  const sentence = new Intl.ListFormat("es", { type: "conjunction" }).format(said);
  return `${sentence.charAt(0).toUpperCase()}${sentence.slice(1)} ${total === 1 ? "registro" : "registros"}.`;
}

interface ChangesTableProps {
  changes: Changes[];
  tense: Tense;
  /** Whether the examples stand open: where a few records are chosen, who and what they are is what matters. */
  open?: boolean;
}

/** What changes in each kind of records, with examples: who and what. */
export function ChangesTable({ changes, tense, open = false }: ChangesTableProps) {
  return (
    <>
      <table className="changes">
        <thead>
          <tr>
            <th scope="col">Qué</th>
            {KINDS.map((kind) => (
              <th key={kind} scope="col" className="figure">
                {HEADS[tense][kind]}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {changes.map(({ name, counts }) => (
            <tr key={name}>
              <th scope="row">{modelo(name)}</th>
              {KINDS.map((kind) => (
                <td key={kind} className={`figure ${counts[kind] > 0 ? kind : "muted"}`}>
                  {number(counts[kind])}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {changes.map((each) => (
        <Examples key={each.name} changes={each} tense={tense} open={open} />
      ))}
    </>
  );
}

function Examples({ changes: { name, counts, examples }, tense, open }: { changes: Changes; tense: Tense; open: boolean }) {
  const kinds = KINDS.filter((kind) => examples[kind].length > 0);
  if (kinds.length === 0) {
    return null;
  }
  return (
    <details className="examples" open={open}>
      <summary>Ejemplos de {modelo(name).toLowerCase()}</summary>
      {kinds.map((kind) => (
        <div key={kind}>
          <p className="muted small">
            {count(counts[kind], "registro", "registros")} que {WHY[tense][kind][form(counts[kind])]}
            {counts[kind] > examples[kind].length ? `; aquí, ${number(examples[kind].length)}` : ""}:
          </p>
          <ul>
            {examples[kind].map((example, place) => (
              // Where secrets are not shown, several may look alike.
              <li key={JSON.stringify([place, example.clave])}>
                <span className={`sign ${kind}`} aria-hidden="true">
                  {SIGN[kind]}
                </span>
                <OneExample example={example} />
              </li>
            ))}
          </ul>
        </div>
      ))}
    </details>
  );
}

function OneExample({ example }: { example: Example }) {
  const key = Object.values(example.clave).map(shown).join(", ");
  const numbered = /^[0-9]+$/.test(key) ? `N.º ${key}` : key;
  return (
    <div>
      <strong>{example.etiqueta ?? numbered}</strong>
      {example.etiqueta === undefined ? null : <span className="muted small"> {numbered}</span>}
      {example.campos === undefined ? null : (
        <dl className="fields">
          {Object.entries(example.campos).map(([name, { antes, despues, etiqueta_antes, etiqueta_despues }]) => (
            <FieldChange key={name} name={name} before={etiqueta_antes ?? antes} after={etiqueta_despues ?? despues} />
          ))}
        </dl>
      )}
    </div>
  );
}

/** One line of a list of changed fields. */
export function FieldChange({ name, before, after }: { name: string; before: unknown; after: unknown }) {
  return (
    <div>
      <dt>{campo(name)}</dt>
      <dd>
        <del>{shown(before)}</del> → <ins>{shown(after)}</ins>
      </dd>
    </div>
  );
}
