import { QueryClientProvider, type QueryClient } from "@tanstack/react-query";
import { createContext, useCallback, useContext, useEffect, useMemo, useRef, useState, type ReactNode } from "react";
import { createPortal } from "react-dom";
import { Link, Router, useLocation } from "wouter";
import { memoryLocation } from "wouter/memory-location";

import { makeApi, type Api } from "./api/client";
import { onReconnect } from "./api/connection";
import { ApiProvider } from "./api/context";
import { newQueryClient } from "./api/queryClient";
import { ClinicPages } from "./ClinicPages";
import isolation from "./library.css?inline";
import { useFocusOnNewPage } from "./shell/useFocusOnNewPage";
import styles from "./styles.css?inline";
import { Icon } from "./ui/Icon";
import { LostConnection } from "./ui/LostConnection";
import { OwnPage } from "./ui/ownPage";
import { ToastProvider } from "./ui/toast";

export interface RespaldosProps {
  /** Where the service is: `https://respaldos.example.com`. The page's own origin where nothing is said. */
  base?: string | undefined;
  /** What each request carries. Another one of the same person goes on with what is on the screen. */
  token: string;
  /** For which clinic a superadmin asks. Anybody else's is their own. */
  clinica?: number | undefined;
  /** Told once of a token that the service refuses: it has ended. Nothing more is asked with it. */
  onExpired?: (() => void) | undefined;
  /**
   * Asked before data leave or are destroyed, where the person gave their password too long ago: has them give it again,
   * and says the new token, or null. Without it, the service's refusal is shown.
   */
  onConfirm?: (() => Promise<string | null>) | undefined;
  children?: ReactNode;
}

interface Service {
  api: Api;
  client: QueryClient;
  scope: number | "propia";
  persona: string | null;
}

const Context = createContext<Service | null>(null);

/** Gives the components below it the service to ask, and for whom. */
export function Respaldos({ token, clinica, base, ...others }: RespaldosProps): ReactNode {
  const { sub, clinica_id } = claimsOf(token);
  // Somebody else must see nothing of who was here before.
  const whose = JSON.stringify([sub ?? token, clinica_id, clinica, base]);
  return (
    <Asking
      key={whose}
      token={token}
      persona={typeof sub === "string" ? sub : null}
      clinica={clinica}
      base={base?.replace(/\/+$/, "")}
      {...others}
    />
  );
}

/** What a token says of whom it was given to; nothing where it is none. */
function claimsOf(token: string): { sub?: unknown; clinica_id?: unknown } {
  try {
    const [, claims = ""] = token.split(".");
    return JSON.parse(atob(claims.replaceAll("-", "+").replaceAll("_", "/"))) as object;
  } catch {
    return {};
  }
}

/** The token of the moment, until the service refuses it. */
function tokens(first: string) {
  let now = first;
  // The page may go on giving the one from before the password was asked for again.
  let given = first;
  let refused: string | null = null;
  let told: RespaldosProps["onExpired"];
  let asked: RespaldosProps["onConfirm"];
  return {
    current: () => (now === refused ? null : now),
    refuse(used: string) {
      if (used === now && used !== refused) {
        refused = used;
        told?.();
      }
    },
    async confirm(): Promise<boolean> {
      const renewed = (await asked?.()) ?? null;
      now = renewed ?? now;
      return renewed !== null;
    },
    /** Says whether it is another one. */
    give(
      token: string,
      { onExpired, onConfirm }: Pick<RespaldosProps, "onExpired" | "onConfirm">,
    ): boolean {
      const another = token !== given && token !== now;
      if (token !== given) {
        now = given = token;
      }
      told = onExpired;
      asked = onConfirm;
      return another;
    },
  };
}

function Asking({
  base,
  token,
  clinica,
  onExpired,
  onConfirm,
  persona,
  children,
}: RespaldosProps & { persona: string | null }) {
  const [client] = useState(newQueryClient);
  const [{ current, refuse, confirm, give }] = useState(() => tokens(token));
  const api = useMemo(
    () => makeApi({ token: current, clinicaId: clinica ?? null, onExpired: refuse, confirm, baseUrl: base }),
    [base, clinica, current, refuse, confirm],
  );
  useEffect(() => {
    if (give(token, { onExpired, onConfirm })) {
      void client.invalidateQueries();
    }
  }, [client, give, token, onExpired, onConfirm]);
  useEffect(() => onReconnect(() => void client.invalidateQueries()), [client]);
  const value = useMemo(
    () => ({ api, client, scope: clinica ?? ("propia" as const), persona }),
    [api, client, clinica, persona],
  );
  return <Context value={value}>{children}</Context>;
}

/** Whether the clinic's data are safe, and what that rests on. */
export function EstadisticasRespaldos(): ReactNode {
  return <Window at="/" />;
}

/** The clinic's backups, with what can be done with each. */
export function RespaldosList(): ReactNode {
  return <Window at="/respaldos" />;
}

/** Everything that is known of one backup. */
export function RespaldoDetail({ id }: { id: number }): ReactNode {
  const at = `/respaldos/${id}`;
  return <Window key={at} at={at} />;
}

/** Asks for a backup, and stays with it to its end. */
export function CrearRespaldo(): ReactNode {
  return <Window at="/respaldos/nuevo" />;
}

/**
 * A window onto the pages of a clinic, which begins at one of them; its links lead to the others, inside of it.
 *
 * It stands in a shadow root, since a page's own rules (`* { all: unset }`) win over those of any layer or scope.
 */
function Window({ at }: { at: string }) {
  const service = useContext(Context);
  if (service === null) {
    throw new Error("<Respaldos> is missing around it");
  }
  const [{ hook }] = useState(() => memoryLocation({ path: at }));
  const [root, setRoot] = useState<ShadowRoot | null>(null);
  const attach = useCallback((element: HTMLDivElement | null) => {
    if (element !== null) {
      const shadow = element.shadowRoot ?? element.attachShadow({ mode: "open" });
      // Unlike an element <style>, no Content-Security-Policy refuses it.
      shadow.adoptedStyleSheets = [sheet()];
      setRoot(shadow);
    }
  }, []);
  const { client, ...asked } = service;
  return (
    <div ref={attach}>
      {root === null
        ? null
        : createPortal(
            <QueryClientProvider client={client}>
              {/* An address of ours means nothing in a tab of its own. */}
              <Router hook={hook} hrefs={() => "#"}>
                <ToastProvider>
                  <ApiProvider {...asked}>
                    <OwnPage value={false}>
                      <Frame at={at} />
                    </OwnPage>
                  </ApiProvider>
                </ToastProvider>
              </Router>
            </QueryClientProvider>,
            root,
          )}
    </div>
  );
}

function Frame({ at }: { at: string }) {
  const element = useRef<HTMLDivElement>(null);
  const [here] = useLocation();
  const main = useCallback(() => element.current, []);
  const show = useCallback(() => {
    if ((element.current?.getBoundingClientRect().top ?? 0) < 0) {
      element.current?.scrollIntoView();
    }
  }, []);
  useFocusOnNewPage(main, show);
  return (
    <div ref={element} className="respaldos" lang="es-BO" tabIndex={-1}>
      <LostConnection />
      <div className="room">
        {here === at ? null : (
          <p className="band">
            <Link href={at} className="back">
              <Icon name="left" /> Volver al comienzo
            </Link>
          </p>
        )}
        <ClinicPages />
      </div>
    </div>
  );
}

let made: CSSStyleSheet | undefined;

/** The one style sheet of all windows. */
function sheet(): CSSStyleSheet {
  if (made === undefined) {
    // As a length it is inherited in pixels: what `rem` would be if the page did not change it for itself.
    CSS.registerProperty({ name: "--respaldos-rem", syntax: "<length>", inherits: true, initialValue: "16px" });
    made = new CSSStyleSheet();
    made.replaceSync(styles + isolation);
  }
  return made;
}
