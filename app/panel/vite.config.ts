import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

/** Leaves a compressed copy beside each asset: the service gives it to whoever reads gzip. */
const compressed = {
  name: "compressed-assets",
  writeBundle({ dir }: { dir?: string | undefined }) {
    const folder = join(dir ?? "dist", "assets");
    for (const name of readdirSync(folder)) {
      if (/\.(js|css|svg)$/.test(name)) {
        writeFileSync(join(folder, `${name}.gz`), gzipSync(readFileSync(join(folder, name)), { level: 9 }));
      }
    }
  },
};

export default defineConfig({
  base: "/panel/",
  plugins: [react(), compressed],
  build: { target: "es2022", modulePreload: { polyfill: false } },
  // `npm run dev` beside `respaldos demo`.
  server: { proxy: { "/api": "http://127.0.0.1:8000", "/salud": "http://127.0.0.1:8000" } },
  test: {
    environment: "jsdom",
    include: ["tests/**/*.test.{ts,tsx}"],
    setupFiles: ["tests/setup.ts"],
    isolate: false,
    pool: "threads",
    maxWorkers: 2,
  },
});
