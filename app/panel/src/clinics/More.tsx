import type { ReactNode } from "react";

import { AT_ONCE } from "../api/queries";

/** The end of a list that goes on; `children` say how much of it is seen. */
export function More({ fetching, fetch, children }: { fetching: boolean; fetch: () => unknown; children?: ReactNode }) {
  return (
    <div className="actions">
      {children}
      <button
        type="button"
        className="button"
        aria-disabled={fetching}
        onClick={() => (fetching ? undefined : void fetch())}
      >
        Ver {AT_ONCE} más
      </button>
    </div>
  );
}
