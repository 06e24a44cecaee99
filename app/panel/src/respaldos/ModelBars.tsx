import { useState } from "react";

import { number } from "../text/format";
import { modelo } from "../text/words";

const FEW = 12;

interface ModelBarsProps {
  counts: Record<string, number>;
  /** Of the backup before; null where there is none to compare with. */
  before: Record<string, number> | null;
}

/** How many records of each kind, the most first, and how many more or fewer than before. */
export function ModelBars({ counts, before }: ModelBarsProps) {
  const [all, setAll] = useState(false);
  const names = [...new Set([...Object.keys(counts), ...Object.keys(before ?? {})])];
  const found = names.map((name) => ({
    name,
    value: counts[name] ?? 0,
    change: before === null ? 0 : (counts[name] ?? 0) - (before[name] ?? 0),
  }));
  found.sort((one, other) => other.value - one.value || one.name.localeCompare(other.name));
  const largest = Math.max(1, ...found.map(({ value }) => value));
  // A change is always shown, however few records there are.
  const shown = all ? found : found.filter(({ change }, place) => place < FEW || change !== 0);
  return (
    <>
      <table className="bars">
        <thead className="vh">
          <tr>
            <th scope="col">Qué</th>
            <th scope="col">Cuánto, dibujado</th>
            <th scope="col">Registros</th>
            <th scope="col">Diferencia con el anterior</th>
          </tr>
        </thead>
        <tbody>
          {shown.map(({ name, value, change }) => (
            <tr key={name}>
              <th scope="row">{modelo(name)}</th>
              <td className="bar-cell" aria-hidden="true">
                <span className="bar" style={{ width: `${Math.max((value / largest) * 100, value > 0 ? 1 : 0)}%` }} />
              </td>
              <td className="figure">{number(value)}</td>
              <td className={`figure change ${change > 0 ? "more" : change < 0 ? "less" : ""}`}>
                {change === 0 ? (
                  before === null ? null : <span className="vh">igual</span>
                ) : (
                  `${change > 0 ? "+" : "−"}${number(Math.abs(change))}`
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {shown.length < found.length || all ? (
        <button type="button" className="link" aria-expanded={all} onClick={() => setAll(!all)}>
          {all ? "Ver menos" : `Ver los ${number(found.length)}`}
        </button>
      ) : null}
    </>
  );
}
