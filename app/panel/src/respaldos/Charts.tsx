import type { Estadisticas } from "../api/client";
import { calendarDay, megabytes, seconds } from "../text/format";
import { Calendar } from "./Calendar";
import { LineChart } from "./LineChart";

type Serie = Estadisticas["serie"];

/** The last ninety days: what came of each, how large its backup was and how long it took. */
export default function Charts({ serie }: { serie: Serie }) {
  const points = (value: (day: Serie[number]) => number) =>
    serie.flatMap((day, place) => {
      // Of a backup rebuilt from the bucket nobody knows how long it took: it has 0, and no point.
      const found = day.estado === "completado" ? value(day) : 0;
      return found === 0 ? [] : [{ place, value: found, label: calendarDay(day.dia) }];
    });
  return (
    <div className="charts">
      <section className="card" aria-labelledby="dias">
        <h2 id="dias">Los últimos {serie.length} días</h2>
        <Calendar serie={serie} />
      </section>
      <section className="card" aria-labelledby="tamaño">
        <h2 id="tamaño">Tamaño de cada respaldo</h2>
        <LineChart points={points((day) => day.tamaño_mb)} places={serie.length} unit={megabytes} ends={ends(serie)} />
      </section>
      <section className="card" aria-labelledby="duracion">
        <h2 id="duracion">Cuánto tardó cada uno</h2>
        <LineChart points={points((day) => day.segundos)} places={serie.length} unit={seconds} ends={ends(serie)} />
      </section>
    </div>
  );
}

function ends(serie: Serie): [string, string] {
  return [calendarDay(serie[0]?.dia ?? ""), "hoy"];
}
