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

export function Empty({ icon = "shield", title, children }: { icon?: IconName; title: string; children?: ReactNode }) {
  return (
    <div className="state">
      <Icon name={icon} />
      <h2>{title}</h2>
      {children}
    </div>
  );
}

export function Failure({ error, retry }: { error: unknown; retry: () => unknown }) {
  const known = error instanceof ApiError ? error : null;
  const missing = known?.status === 404;
  return (
    <div className="state" role="alert">
      <Icon name={known?.offline ? "offline" : "alert"} />
      <h2>{known?.offline ? "No hay conexión con el servicio" : missing ? "No se encontró" : "Algo no funcionó"}</h2>
      <p>{known?.message ?? "Ocurrió un error en esta página."}</p>
      {known?.offline ? <p className="muted">Se vuelve a intentar solo. Sus respaldos no dependen de esta página.</p> : null}
      {missing ? null : (
        <button type="button" className="button" onClick={() => void retry()}>
          Volver a intentar
        </button>
      )}
    </div>
  );
}
