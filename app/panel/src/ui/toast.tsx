import { createContext, useCallback, useContext, useMemo, useState, type ReactNode } from "react";

import type { Tone } from "../text/words";
import { Icon } from "./Icon";

interface Toast {
  tone: Tone;
  text: string;
  action?: { label: string; act: () => void };
}

const Context = createContext<(toast: Toast) => void>(() => undefined);

/** Says what has just happened at the foot of the page, until it is closed or something else happens. */
export function ToastProvider({ children }: { children: ReactNode }) {
  const [shown, setShown] = useState<Toast | null>(null);
  const show = useCallback((toast: Toast) => setShown(toast), []);
  const close = useMemo(() => () => setShown(null), []);
  return (
    <Context value={show}>
      {children}
      <div className="toasts" role="status">
        {shown === null ? null : (
          <div className={`toast ${shown.tone}`}>
            <span>{shown.text}</span>
            {shown.action === undefined ? null : (
              <button
                type="button"
                className="link"
                onClick={() => {
                  close();
                  shown.action?.act();
                }}
              >
                {shown.action.label}
              </button>
            )}
            <button type="button" className="icon-button" aria-label="Cerrar este aviso" onClick={close}>
              <Icon name="cross" />
            </button>
          </div>
        )}
      </div>
    </Context>
  );
}

export function useToast(): (toast: Toast) => void {
  return useContext(Context);
}
