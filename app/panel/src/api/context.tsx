import { createContext, useContext, type ReactNode } from "react";

import type { Api } from "./client";

interface ApiContext {
  api: Api;
  /** Whose answers are kept apart in the cache: the clinic's id, or "propia". */
  scope: number | "propia";
}

const Context = createContext<ApiContext | null>(null);

/** Gives the components below it the service to ask. What a clinic's own front end needs around ours. */
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
