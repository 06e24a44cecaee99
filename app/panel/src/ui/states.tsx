import type { ReactNode } from "react";

import { ApiError } from "../api/client";
import { Icon, type IconName } from "./Icon";

/** What stands where there is nothing to show, nothing yet, or an error. Never a blank page. */

export function Loading({ what }: { what: string }) {
  return (
    <div className="state" role="status">
      <span className="spinner" aria-hidden="true" />
      <p>{what}</p>
    </div>
  );
}

interface EmptyProps {
  /** h2 where the page has a title of its own. */
  heading?: "h1" | "h2";
  icon?: IconName;
  title: string;
  children?: ReactNode;
}

export function Empty({ heading: Heading = "h1", icon = "shield", title, children }: EmptyProps) {
  return (
    <div className="state">
      <Icon name={icon} />
      <Heading>{title}</Heading>
      {children}
    </div>
  );
}

interface FailureProps {
  heading?: "h1" | "h2";
  error: unknown;
  retry: () => unknown;
}

export function Failure({ heading: Heading = "h1", error, retry }: FailureProps) {
  const known = error instanceof ApiError ? error : null;
  const missing = known?.status === 404;
  const forbidden = known?.status === 403;
  return (
    <div className="state" role="alert">
      <Icon name={known?.offline ? "offline" : "alert"} />
      <Heading>
        {known?.offline
          ? "No hay conexión con el servicio"
          : missing
            ? "No se encontró"
            : forbidden
              ? "Esta cuenta no puede ver esto"
              : "Algo no funcionó"}
      </Heading>
      <p>{known?.message ?? "Ocurrió un error en esta página."}</p>
      {known?.offline ? <p className="muted">Se vuelve a intentar solo. Sus respaldos no dependen de esta página.</p> : null}
      {missing || forbidden ? null : (
        <button type="button" className="button" onClick={() => void retry()}>
          Volver a intentar
        </button>
      )}
    </div>
  );
}
