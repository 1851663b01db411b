import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import { findBrowser } from "./scripts/browser.mjs";

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));

// What package.json's "imports" resolves to the built file; tests run the source.
const resolve = { alias: { "#platform": at("./src/engine/wasm/platform-node.ts"), "#data-files": at("./src/data/node.ts") } };

const report = process.env.EVENKEEL_TEST_REPORT;
// A wrong CHROME_PATH is for the browser tests to report, not for every run.
const browser = process.env.CHROME_PATH ?? findBrowser() ?? "";

const shared = { environment: "node", pool: "forks", testTimeout: 30_000, hookTimeout: 60_000 } as const;

export default defineConfig({
  test: {
    // The file is what .ci/run counts.
    reporters: report ? ["default", ["json", { outputFile: report }]] : ["default"],
    // `npm run coverage`: of what the project exists for.
    coverage: {
      provider: "v8",
      include: ["src/ops/**", "src/nn/**"],
      reporter: ["text"],
      reportsDirectory: at("./build/coverage"),
      thresholds: { lines: 95 },
    },
    projects: [
      {
        resolve,
        test: {
          ...shared,
          name: "node",
          include: ["test/**/*.test.ts"],
          exclude: ["test/e2e/**", "test/verify/**", "**/node_modules/**"],
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
        },
      },
      {
        resolve,
        test: {
          ...shared,
          name: "e2e",
          include: ["test/e2e/**/*.test.ts"],
          exclude: ["**/node_modules/**"],
          env: { CHROME_PATH: browser },
          testTimeout: 120_000,
          hookTimeout: 120_000,
          maxWorkers: 1,
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
      {
        resolve,
        test: {
          ...shared,
          name: "verify",
          include: ["test/verify/**/*.test.ts"],
          exclude: ["**/node_modules/**"],
          testTimeout: 1_800_000,
          maxWorkers: 1,
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
