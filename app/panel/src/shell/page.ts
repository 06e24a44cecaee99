import { lazy, type ComponentType, type LazyExoticComponent } from "react";

import { noteSilence, onReconnect } from "../api/connection";

type Load<P> = () => Promise<{ default: ComponentType<P> }>;

const loads: (() => Promise<unknown>)[] = [];

/**
 * A page whose script is fetched when it is first opened, or by `fetchPages` before that.
 *
 * Where the service is away, it is fetched once that is back. Where it answers without the script, it has been upgraded
 * since: then the whole panel is loaded anew.
 */
export function page<P>(load: Load<P>): LazyExoticComponent<ComponentType<P>> {
  loads.push(load);
  return lazy(async () => {
    try {
      return await load();
    } catch {
      noteSilence();
      await new Promise<void>((resolve) => {
        const stop = onReconnect(() => {
          stop();
          resolve();
        });
      });
      return load().catch(() => {
        window.location.reload();
        return new Promise<never>(() => undefined);
      });
    }
  });
}

/** Have the scripts of all pages at hand, so that the next one opens at once, and without the service. */
export function fetchPages(): void {
  for (const load of loads) {
    void load().catch(() => undefined);
  }
}
