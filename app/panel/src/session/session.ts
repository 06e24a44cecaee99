import type { Ingresado } from "../api/client";

/** Who has logged in, with the token and when it ends (milliseconds since 1970). */
export interface Session {
  token: string;
  ends: number;
  usuario: Ingresado["usuario"];
}

/**
 * Kept in sessionStorage: it survives a reload and an address typed by hand, which a variable would not, and ends
 * with the tab, which localStorage would not. Nothing from elsewhere can read it: the page runs no script but its own
 * (Content-Security-Policy), and another origin has a storage of its own.
 */
const KEY = "respaldos.sesion";

export function stored(now: number): Session | null {
  const text = sessionStorage.getItem(KEY);
  if (text === null) {
    return null;
  }
  try {
    const found = JSON.parse(text) as Session;
    if (typeof found.token === "string" && found.ends > now) {
      return found;
    }
  } catch {
    // Whatever stood there, it is no session.
  }
  sessionStorage.removeItem(KEY);
  return null;
}

export function store(session: Session | null): void {
  if (session === null) {
    sessionStorage.removeItem(KEY);
  } else {
    sessionStorage.setItem(KEY, JSON.stringify(session));
  }
}

export function sessionOf(entered: Ingresado, now: number): Session {
  return { token: entered.token, ends: now + entered.expira_en_segundos * 1000, usuario: entered.usuario };
}

/** As the audit trail calls somebody: the platform's own people have no number. */
export function personaOf({ usuario }: Session): string {
  return String(usuario.codigo ?? usuario.correoelectronico);
}
