import type { Estadisticas } from "../api/client";
import { calendarDay } from "../text/format";

type Day = Estadisticas["serie"][number];

const WEEKDAYS = ["lunes", "martes", "miércoles", "jueves", "viernes", "sábado", "domingo"];

/** Monday is 0. */
const weekday = (day: string): number => (new Date(`${day}T00:00:00Z`).getUTCDay() + 6) % 7;

const SAID = { completado: "bien", fallido: "falló" } as const;

function outcome(day: Day): "good" | "bad" | "none" {
  return day.estado === "completado" ? "good" : day.estado === "fallido" ? "bad" : "none";
}

/** A square a day, a column a week. Colour is not all that tells them apart: a failure has a cross, a gap is empty. */
export function Calendar({ serie }: { serie: Day[] }) {
  const weeks: { first: string; week: (Day | null)[] }[] = [];
  for (const day of serie) {
    const place = weekday(day.dia);
    if (weeks.length === 0 || place === 0) {
      weeks.push({ first: day.dia, week: Array.from({ length: 7 }, () => null) });
    }
    const last = weeks.at(-1);
    if (last !== undefined) {
      last.week[place] = day;
    }
  }
  const begun = serie.findIndex((day) => day.estado !== null);
  const counted = begun < 0 ? [] : serie.slice(begun);
  const firstDay = counted[0]?.dia;
  const of = (kind: string) => counted.filter((day) => outcome(day) === kind).length;
  return (
    <div className="calendar-card">
      <table className="calendar">
        <caption className="vh">Cada día de los últimos {serie.length}: si hubo respaldo. Una columna es una semana.</caption>
        <tbody>
          {WEEKDAYS.map((name, place) => (
            <tr key={name}>
              <th scope="row">
                <span aria-hidden="true">{name.charAt(0).toUpperCase()}</span>
                <span className="vh">{name}</span>
              </th>
              {weeks.map(({ week, first }) => {
                const day = week[place] ?? null;
                if (day === null) {
                  // Days before the first and after today have no square.
                  return <td key={first} aria-hidden="true" />;
                }
                if (firstDay === undefined || day.dia < firstDay) {
                  return (
                    <td key={first} aria-hidden="true">
                      <span className="day before" title={`${calendarDay(day.dia)}: antes del primer respaldo`} />
                    </td>
                  );
                }
                const said = `${calendarDay(day.dia)}: ${day.estado === null ? "sin respaldo" : SAID[day.estado as keyof typeof SAID]}`;
                return (
                  <td key={first}>
                    <span className={`day ${outcome(day)}`} title={said}>
                      <span className="vh">{said}</span>
                    </span>
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
      <ul className="legend">
        <li>
          <span className="day good" aria-hidden="true" /> <strong>{of("good")}</strong> bien
        </li>
        <li>
          <span className="day bad" aria-hidden="true" /> <strong>{of("bad")}</strong> con falla
        </li>
        <li>
          <span className="day none" aria-hidden="true" /> <strong>{of("none")}</strong> sin respaldo
        </li>
      </ul>
    </div>
  );
}
