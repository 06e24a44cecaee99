import "@testing-library/jest-dom/vitest";

import { cleanup } from "@testing-library/react";
import { afterEach, beforeEach, vi } from "vitest";

// Tests of text alone have no browser.
const inBrowser = typeof window !== "undefined";

if (inBrowser) {
  // What jsdom lacks and the panel uses.
  HTMLDialogElement.prototype.showModal = function showModal() {
    this.open = true;
  };
  HTMLDialogElement.prototype.close = function close() {
    this.open = false;
  };
  window.scrollTo = () => undefined;
  window.ResizeObserver = class {
    observe() {}
    unobserve() {}
    disconnect() {}
  };

  beforeEach(() => {
    sessionStorage.clear();
    window.history.replaceState(null, "", "/panel/");
  });
  afterEach(cleanup);
}

afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});
