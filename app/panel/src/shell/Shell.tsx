import type { ReactNode } from "react";
import { Link } from "wouter";

import { useLostConnection } from "../api/connection";
import { useSession } from "../session/context";
import { Mark } from "../ui/Mark";
import { Notice } from "../ui/Notice";

interface ShellProps {
  /** Beside the name: whose clinic it is. */
  clinic?: ReactNode;
  nav?: ReactNode;
  children: ReactNode;
}

/** What every page has around it. */
export function Shell({ clinic, nav, children }: ShellProps) {
  const { session, leave } = useSession();
  const lost = useLostConnection();
  return (
    <>
      <a className="skip" href="#contenido">
        Ir al contenido
      </a>
      <header className="top">
        <div className="top-line">
          <Link href="~/panel" className="brand" aria-label="Respaldos: inicio">
            <Mark /> <span>Respaldos</span>
          </Link>
          <span className="top-clinic">{clinic}</span>
          <span className="top-person">
            <span className="top-name">{session?.usuario.nombre_completo}</span>
            <button type="button" className="button quiet" onClick={leave}>
              Salir
            </button>
          </span>
        </div>
        {nav}
      </header>
      {lost ? (
        <div className="band">
          <Notice tone="warn">
            Sin conexión con el servicio: lo que ve puede no ser lo último. Se vuelve a intentar solo.
          </Notice>
        </div>
      ) : null}
      <main id="contenido" tabIndex={-1}>
        {children}
      </main>
    </>
  );
}
