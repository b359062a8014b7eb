import { defineConfig } from "vite";

// SC_WEB_OUT: where the built pages go (the Makefile says $O/web).
// SC_WEB_API: a console to talk to while developing (`npm run dev`).
const env: Record<string, string | undefined> =
  (globalThis as { process?: { env: Record<string, string | undefined> } })
    .process?.env ?? {};

export default defineConfig({
  base: "./",
  esbuild: { jsx: "automatic", jsxImportSource: "preact" },
  build: {
    outDir: env.SC_WEB_OUT ?? "dist",
    emptyOutDir: true,
    target: "es2022",
    // The content security policy forbids data: addresses and inline code.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 700,
  },
  server: {
    proxy: {
      "/api": {
        target: env.SC_WEB_API ?? "http://127.0.0.1:8090",
        ws: true,
        secure: false,
      },
    },
  },
});
