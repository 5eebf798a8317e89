import { fileURLToPath } from "node:url";
import { defaultClientConditions } from "vite";
import { defineConfig } from "vitest/config";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  root: here("."),
  // The server says where the page is mounted (`<base>`), so nothing in it may begin with a slash.
  base: "./",
  // The packages of this workspace are taken as sources: a change of theirs needs no build before this one.
  resolve: { conditions: ["agentflow-source", ...defaultClientConditions], dedupe: ["react", "react-dom"] },
  build: {
    outDir: here("../../agentflow/dashboard/static"),
    emptyOutDir: true,
    target: "es2024",
    modulePreload: { polyfill: false },
    license: { fileName: "licenses.md" },
  },
  server: { proxy: { "/v1": process.env.AGENTFLOW_URL ?? "http://127.0.0.1:8000" } },
  test: { include: ["tests/**/*.test.ts"], environment: "node" },
});
