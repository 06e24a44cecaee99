import { createContext, useContext } from "react";

import type { Clinica } from "../api/client";
import type { Clock } from "../text/format";

interface ClinicValue {
  clinica: Clinica;
  clock: Clock;
}

/** Whose backups are shown, and how moments are written there. */
export const ClinicContext = createContext<ClinicValue | null>(null);

export function useClinic(): ClinicValue {
  const found = useContext(ClinicContext);
  if (found === null) {
    throw new Error("ClinicContext is missing");
  }
  return found;
}
