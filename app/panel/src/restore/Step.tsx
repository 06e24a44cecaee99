import type { RespaldoDetalle, Restauracion } from "../api/client";
import { Progress } from "../ui/Progress";
import { Preview } from "./Preview";
import { Failed, Restored } from "./Result";

interface StepProps {
  found: Restauracion;
  respaldo: RespaldoDetalle;
  /** On with another preview or restore. */
  go: (next: number) => void;
  /** To where something else can be chosen. */
  back: () => void;
  more?: () => void;
}

/** A preview or a restore: how far it is, what it found or did, and what can follow. */
export function Step({ found, respaldo, go, back, more }: StepProps) {
  if (found.estado === "pendiente" || found.estado === "procesando") {
    return (
      <section className="card stack" aria-label="Cómo avanza">
        <Progress progreso={found.progreso} waiting="Empezará en un momento" trial={found.simulada} />
        <p className="muted">
          {found.simulada
            ? "Se compara el respaldo con sus datos de hoy. Nada cambia todavía."
            : found.modo === "todo"
              ? "Puede salir de esta página; conviene que nadie trabaje en el sistema hasta que termine."
              : "Puede salir de esta página, y seguir trabajando en el sistema."}
        </p>
      </section>
    );
  }
  if (found.estado !== "completado") {
    return <Failed found={found} again={back} />;
  }
  return found.simulada ? (
    <Preview found={found} respaldo={respaldo} started={go} back={back} />
  ) : (
    <Restored found={found} more={more} />
  );
}
