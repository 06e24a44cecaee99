import type { ReactNode } from "react";
import { Link } from "wouter";

import { useSession } from "../session/context";
import { LostConnection } from "../ui/LostConnection";
import { Mark } from "../ui/Mark";
import { useFocusOnNewPage } from "./useFocusOnNewPage";

interface ShellProps {
  /** Beside the name: whose clinic it is. */
  clinic?: ReactNode;
  nav?: ReactNode;
  children: ReactNode;
}

const main = () => document.getElementById("contenido");
const toTop = () => window.scrollTo(0, 0);

/** What every page has around it. */
export function Shell({ clinic, nav, children }: ShellProps) {
  const { session, leave } = useSession();
  useFocusOnNewPage(main, toTop);
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
      <LostConnection />
      <main id="contenido" className="room" tabIndex={-1}>
        {children}
      </main>
    </>
  );
}
