#!/usr/bin/env node
import { processContext } from "./context.js";
import { runCli } from "./program.js";
import { packageVersion } from "./version.js";

// `evenkeel compare | head` closes the pipe early: that is no error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});

const code = await runCli(process.argv.slice(2), processContext(), {
  version: packageVersion(),
  loadRun: async () => (await import("./run-compare.js")).runCompareOnFiles,
  startWorkers: async (count) => (await import("./worker-pool.js")).startWorkers(count),
  loadReport: async () => (await import("../report/compare-report.js")).renderCompareReport,
});

// Output must be out before the process ends; engine threads must not keep it alive.
process.stdout.write("", () => process.stderr.write("", () => process.exit(code)));
