import { scaleLinear } from "d3-scale";
import { area, line } from "d3-shape";

interface Point {
  /** Which of the days it is, from the left. */
  place: number;
  value: number;
  label: string;
}

interface LineChartProps {
  points: Point[];
  places: number;
  unit: (value: number) => string;
  /** What stands below the first and the last day. */
  ends: [string, string];
}

const WIDTH = 600;
const HEIGHT = 160;

/** A line over the days. */
export function LineChart({ points, places, unit, ends }: LineChartProps) {
  if (points.length === 0) {
    return <p className="muted">Todavía no hay nada que dibujar.</p>;
  }
  const values = points.map(({ value }) => value);
  const largest = Math.max(...values);
  const smallest = Math.min(...values);
  const last = points.at(-1);
  const top = largest === 0 ? 1 : largest * 1.15;
  const x = scaleLinear([0, places - 1], [0, WIDTH]);
  const y = scaleLinear([0, top], [HEIGHT, 0]);
  const across = ({ place }: Point) => x(place);
  const up = ({ value }: Point) => y(value);
  const said =
    unit(smallest) === unit(largest)
      ? `Siempre ${unit(largest)}`
      : `De ${unit(smallest)} a ${unit(largest)}; el último, ${unit(last?.value ?? 0)}`;
  return (
    <figure className="chart">
      <div className="chart-plot">
        <span className="chart-top">{unit(largest)}</span>
        <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={said}>
          <line className="chart-grid" x1="0" x2={WIDTH} y1={y(largest)} y2={y(largest)} />
          <line className="chart-grid" x1="0" x2={WIDTH} y1={y(largest / 2)} y2={y(largest / 2)} />
          <line className="chart-axis" x1="0" x2={WIDTH} y1={HEIGHT} y2={HEIGHT} />
          {points.length > 1 ? (
            <>
              <path className="chart-area" d={area(across, HEIGHT, up)(points) ?? ""} />
              <path className="chart-line" d={line(across, up)(points) ?? ""} />
            </>
          ) : null}
        </svg>
        {points.map(({ place, value, label }) => (
          <span
            key={place}
            className="chart-dot"
            title={`${label}: ${unit(value)}`}
            style={{ left: `${(x(place) / WIDTH) * 100}%`, top: `${(y(value) / HEIGHT) * 100}%` }}
          />
        ))}
      </div>
      <div className="chart-ends muted small" aria-hidden="true">
        <span>{ends[0]}</span>
        <span>{ends[1]}</span>
      </div>
      <figcaption className="muted small">{said}.</figcaption>
    </figure>
  );
}
