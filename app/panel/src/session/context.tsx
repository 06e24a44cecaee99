import { useQueryClient } from "@tanstack/react-query";
import { createContext, useCallback, useContext, useEffect, useMemo, useRef, useState, type ReactNode } from "react";

import { makeApi, type Ingresado } from "../api/client";
import { sessionOf, store, stored, type Session } from "./session";

/** How long before its end a person is told (milliseconds). */
const WARNING = 5 * 60_000;

type Phase = "out" | "in" | "ending" | "expired";

type Renewed = Pick<Ingresado, "token" | "expira_en_segundos">;

interface SessionContext {
  session: Session | null;
  /** `ending`: minutes are left; `expired`: what was on the screen stays, behind a question for the password. */
  phase: Phase;
  enter: (entered: Ingresado) => void;
  leave: () => void;
  /** Asks for the password again, over what the person was doing; whether they have given it. */
  confirm: () => Promise<boolean>;
  /** While it is asked for: what to do with a new token, or with null where the person gives up. */
  confirming: ((renewed: Renewed | null) => void) | null;
  /** The service refused this token. */
  expire: (token: string) => void;
  token: () => string | null;
}

const Context = createContext<SessionContext | null>(null);

/** Has the service end the token. Where it does not answer, the token ends by itself, and nobody here has it. */
function end(session: Session | null): void {
  if (session !== null) {
    const api = makeApi({ token: () => session.token, clinicaId: null, onExpired: () => undefined });
    api.POST("/api/v1/auth/logout/").catch(() => undefined);
  }
}

export function SessionProvider({ children }: { children: ReactNode }) {
  const client = useQueryClient();
  const [session, setSession] = useState<Session | null>(() => stored(Date.now()));
  const [phase, setPhase] = useState<Phase>(session === null ? "out" : "in");
  const current = useRef(session);
  const over = useRef<string | null>(null);
  const [confirming, setConfirming] = useState<SessionContext["confirming"]>(null);
  const asked = useRef<Promise<boolean> | null>(null);

  const enter = useCallback(
    (entered: Ingresado) => {
      const next = sessionOf(entered, Date.now());
      const before = current.current;
      // Somebody else must see nothing of who was here before.
      const another =
        before !== null &&
        (before.usuario.codigo !== next.usuario.codigo || before.usuario.clinica_id !== next.usuario.clinica_id);
      if (another) {
        client.clear();
      }
      current.current = next;
      store(next);
      setSession(next);
      setPhase("in");
      if (before !== null && !another) {
        void client.invalidateQueries();
      }
    },
    [client],
  );

  const leave = useCallback(() => {
    end(current.current);
    current.current = null;
    store(null);
    setSession(null);
    setPhase("out");
    client.clear();
  }, [client]);

  // However many requests want the password at once, it is asked for once.
  const confirm = useCallback(() => {
    asked.current ??= new Promise<boolean>((resolve) => {
      setConfirming(() => (renewed: Renewed | null) => {
        const before = current.current;
        if (renewed !== null && before !== null) {
          const next = sessionOf({ ...renewed, mensaje: "", usuario: before.usuario }, Date.now());
          current.current = next;
          store(next);
          setSession(next);
          setPhase("in");
        }
        asked.current = null;
        setConfirming(null);
        resolve(renewed !== null);
      });
    });
    return asked.current;
  }, []);

  const expire = useCallback((token: string) => {
    if (current.current?.token === token) {
      over.current = token;
      store(null);
      setPhase("expired");
    }
  }, []);

  useEffect(() => {
    if (session === null) {
      return undefined;
    }
    const left = session.ends - Date.now();
    const ending = setTimeout(() => setPhase((now) => (now === "in" ? "ending" : now)), Math.max(left - WARNING, 0));
    const ended = setTimeout(() => expire(session.token), Math.max(left, 0));
    return () => {
      clearTimeout(ending);
      clearTimeout(ended);
    };
  }, [session, expire]);

  const token = useCallback(() => {
    const found = current.current?.token ?? null;
    return found === over.current ? null : found;
  }, []);
  const value = useMemo(
    () => ({ session, phase, enter, leave, confirm, confirming, expire, token }),
    [session, phase, enter, leave, confirm, confirming, expire, token],
  );
  return <Context value={value}>{children}</Context>;
}

export function useSession(): SessionContext {
  const found = useContext(Context);
  if (found === null) {
    throw new Error("SessionProvider is missing");
  }
  return found;
}
