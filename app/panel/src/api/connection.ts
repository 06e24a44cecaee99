import { useSyncExternalStore } from "react";

/** How long until the service is asked again whether it is there: longer each time, up to the last (milliseconds). */
const PAUSES = [1000, 2000, 4000, 8000];

let lost = false;
let base = "";
let failures = 0;
let timer: ReturnType<typeof setTimeout> | undefined;
const listeners = new Set<() => void>();

function set(value: boolean): void {
  if (lost !== value) {
    lost = value;
    for (const listener of listeners) {
      listener();
    }
  }
}

/** Some answer came: the service is there. */
export function noteAnswer(): void {
  clearTimeout(timer);
  timer = undefined;
  failures = 0;
  set(false);
}

/** A request got no answer: ask again by itself until one comes. The service is at `from`; where it was, if not said. */
export function noteSilence(from: string = base): void {
  base = from;
  set(true);
  if (timer === undefined) {
    timer = setTimeout(probe, PAUSES[Math.min(failures, PAUSES.length - 1)]);
    failures += 1;
  }
}

async function probe(): Promise<void> {
  timer = undefined;
  try {
    // Any answer will do, also one that a page of another origin may not read.
    await fetch(`${base}/salud/viva`, { cache: "no-store", mode: "no-cors" });
    noteAnswer();
  } catch {
    noteSilence();
  }
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Whether the service does not answer at the moment. */
export function useLostConnection(): boolean {
  return useSyncExternalStore(subscribe, () => lost);
}

/** Call back whenever the service is there again. Returns how to stop. */
export function onReconnect(callback: () => void): () => void {
  let before = lost;
  return subscribe(() => {
    if (before && !lost) {
      callback();
    }
    before = lost;
  });
}
