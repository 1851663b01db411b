import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

test("10,000 training steps leave the engine's tensors and heap as they were and the process within 8 MiB", () => {
  const soak = fileURLToPath(new URL("../../bench/soak.mjs", import.meta.url));
  const { status, stdout, stderr } = spawnSync(process.execPath, [soak], { encoding: "utf8" });
  expect(stderr).toBe("");
  expect(stdout).toContain("flat:");
  expect(status).toBe(0);
});
