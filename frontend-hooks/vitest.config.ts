import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const react18 = (name: string) => ({ find: new RegExp(`^${name}(?=/|$)`), replacement: here(`testing/react-18/node_modules/${name}`) });
const resolve = { conditions: ["agentflow-source"] };
const settings = { testTimeout: 20_000, include: ["react/tests/**/*.test.{ts,tsx}"], environment: "jsdom" };

export default defineConfig({
  test: {
    projects: [
      { resolve, test: { name: "client", include: ["client/tests/**/*.test.ts"], testTimeout: 20_000 } },
      { resolve, ssr: { resolve }, test: { name: "dashboard", include: ["dashboard/tests/**/*.test.ts"] } },
      { resolve, test: { ...settings, name: "react 19" } },
      {
        resolve: { ...resolve, alias: [react18("react-dom"), react18("react")] },
        test: { ...settings, name: "react 18", server: { deps: { inline: [/@ai-sdk/, /swr/, /use-sync-external-store/] } } },
      },
    ],
  },
});
