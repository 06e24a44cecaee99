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

/** A line over the days, drawn by hand: a library would weigh more than the whole page. */
export function LineChart({ points, places, unit, ends }: LineChartProps) {
  if (points.length === 0) {
    return <p className="muted">Todavía no hay nada que dibujar.</p>;
  }
  const values = points.map(({ value }) => value);
  const largest = Math.max(...values);
  const smallest = Math.min(...values);
  const last = points.at(-1);
  const top = largest === 0 ? 1 : largest * 1.15;
  const x = (place: number) => (places < 2 ? WIDTH / 2 : (place / (places - 1)) * WIDTH);
  const y = (value: number) => HEIGHT - (value / top) * HEIGHT;
  const line = points.map(({ place, value }) => `${x(place).toFixed(1)},${y(value).toFixed(1)}`);
  const said = `De ${unit(smallest)} a ${unit(largest)}; el último, ${unit(last?.value ?? 0)}`;
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
              <polygon
                className="chart-area"
                points={`${x(points[0]?.place ?? 0)},${HEIGHT} ${line.join(" ")} ${x(last?.place ?? 0)},${HEIGHT}`}
              />
              <polyline className="chart-line" points={line.join(" ")} />
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
