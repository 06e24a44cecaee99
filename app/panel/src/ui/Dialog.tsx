import { useId, useLayoutEffect, useRef, type ReactNode } from "react";

interface DialogProps {
  title: string;
  /** null: it cannot be closed but by what is in it. */
  onClose: (() => void) | null;
  children: ReactNode;
}

/** The browser's own modal dialog: it keeps the focus, first on what has `data-first`, and Escape closes it. */
export function Dialog({ title, onClose, children }: DialogProps) {
  const element = useRef<HTMLDialogElement>(null);
  const name = useId();
  // Closed while it is still there, the browser gives the focus back to what had it.
  useLayoutEffect(() => {
    const dialog = element.current;
    if (dialog !== null && !dialog.open) {
      dialog.showModal();
      dialog.querySelector<HTMLElement>("[data-first]")?.focus();
    }
    return () => dialog?.close();
  }, []);
  return (
    <dialog
      ref={element}
      className="dialog"
      aria-labelledby={name}
      onCancel={(event) => {
        event.preventDefault();
        onClose?.();
      }}
    >
      <h2 id={name}>{title}</h2>
      <div className="stack">{children}</div>
    </dialog>
  );
}
