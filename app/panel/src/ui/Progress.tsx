import { useId } from "react";

import { number } from "../text/format";
import { etapa, modelo } from "../text/words";

interface ProgressProps {
  progreso: Record<string, unknown> | null | undefined;
  /** What is said while nothing is known yet. */
  waiting: string;
  /** In a line of a list: nothing is read out. */
  compact?: boolean;
  /** Of a restore that is undone in the end: nothing is said to be put anywhere. */
  trial?: boolean;
}

/** How far something has come. Each new stage, and each quarter of the way, is read out. */
export function Progress({ progreso, waiting, compact = false, trial = false }: ProgressProps) {
  const name = useId();
  const known = progreso ?? null;
  const share = typeof known?.["porcentaje"] === "number" ? known["porcentaje"] : null;
  const stage = known === null ? waiting : etapa(known["etapa"], trial);
  const model = typeof known?.["modelo"] === "string" && known["modelo"] !== "" ? modelo(known["modelo"]) : null;
  const records = typeof known?.["registros"] === "number" && known["registros"] > 0 ? known["registros"] : null;
  return (
    <div className={compact ? "progress compact" : "progress"}>
      <div className="progress-said">
        <span id={name}>{stage}</span>
        {share === null ? null : <span className="figure">{Math.floor(share)} %</span>}
      </div>
      <progress aria-labelledby={name} max={100} {...(share === null ? {} : { value: share })} />
      {compact ? null : (
        <>
          <p className="muted small">
            {model === null ? "\u00a0" : model}
            {records === null ? null : ` · ${number(records)} registros`}
          </p>
          <p className="vh" role="status">
            {stage}
            {share === null || share < 25 ? "" : `: ${Math.floor(share / 25) * 25} %`}
          </p>
        </>
      )}
    </div>
  );
}
