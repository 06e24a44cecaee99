import { createContext, useContext, type ReactNode } from "react";

import type { Api } from "./client";

interface ApiContext {
  api: Api;
  /** Whose answers are kept apart in the cache: the clinic's id, or "propia". */
  scope: number | "propia";
  /** Who asks, as the audit trail calls them; null where that is not known. */
  persona: string | null;
}

const Context = createContext<ApiContext | null>(null);

/** Gives the components below it the service to ask. */
export function ApiProvider({ children, ...value }: ApiContext & { children: ReactNode }) {
  return <Context value={value}>{children}</Context>;
}

export function useApi(): ApiContext {
  const found = useContext(Context);
  if (found === null) {
    throw new Error("ApiProvider is missing");
  }
  return found;
}
