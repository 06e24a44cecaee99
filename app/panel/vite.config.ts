import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

import react from "@vitejs/plugin-react";
import ts from "typescript";
import { esmExternalRequirePlugin, type Plugin } from "vite";
import { defineConfig } from "vitest/config";

/** Leaves a compressed copy beside each asset: the service gives it to whoever reads gzip. */
const compressed: Plugin = {
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

/** React is the page's own, also for what asks for it by `require`. */
const pageReact = esmExternalRequirePlugin({ external: [/^react(-dom)?($|\/)/] });

const LIBRARY = "src/library.tsx";

/** The library's types: of one module, which says all that it exports in full. */
const declarations: Plugin = {
  name: "library-declarations",
  generateBundle() {
    const { outputText, diagnostics } = ts.transpileDeclaration(readFileSync(LIBRARY, "utf8"), {
      fileName: LIBRARY,
      compilerOptions: { jsx: ts.JsxEmit.ReactJSX, isolatedDeclarations: true },
    });
    for (const { messageText } of diagnostics ?? []) {
      this.error(ts.flattenDiagnosticMessageText(messageText, "\n"));
    }
    this.emitFile({ type: "asset", fileName: "library.d.ts", source: outputText });
  },
};

/** `rem` belongs to the page that the library stands in, which may have made it 10 px. */
const ownRem: Plugin = {
  name: "own-rem",
  enforce: "pre",
  transform(code, id) {
    return id.includes("/styles.css") ? code.replaceAll(/([\d.]+)rem\b/g, "calc($1 * var(--respaldos-rem))") : null;
  },
};

export default defineConfig(({ mode }) => ({
  base: "/panel/",
  plugins: [react(), ...(mode === "library" ? [pageReact, ownRem, declarations] : [compressed])],
  build:
    mode === "library"
      ? {
          target: "es2022",
          // Where colours are made of what the page says of light and dark.
          cssTarget: ["chrome123", "firefox120", "safari17.5"],
          outDir: "library",
          lib: { entry: LIBRARY, formats: ["es"], fileName: "library" },
          // One file: its pages are never older or newer than itself.
          rolldownOptions: { output: { codeSplitting: false } },
        }
      : { target: "es2022", cssTarget: ["chrome123", "firefox120", "safari17.5"], modulePreload: { polyfill: false } },
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
}));
