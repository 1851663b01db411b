// The built command line, killed while it runs.
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";

const CLI = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));
const IDS = ["E5", "E20"];
const SEEDS = 3;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "evenkeel-resume-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs the experiments in `out`; `watch` is asked every few milliseconds whether to kill the process. Returns how it ended. */
function run(
  out: string,
  args: readonly string[],
  watch: () => boolean = () => false,
): Promise<{ code: number | null; text: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [CLI, "run", ...IDS, "--quick", "--seeds", String(SEEDS), "--out", out, ...args], {
      cwd: folder,
    });
    let text = "";
    child.stdout.on("data", (chunk: Buffer) => {
      text += chunk.toString();
    });
    child.stderr.on("data", (chunk: Buffer) => {
      text += chunk.toString();
    });
    const timer = setInterval(() => watch() && child.kill("SIGKILL"), 5);
    child.on("error", reject);
    child.on("close", (code) => {
      clearInterval(timer);
      resolve({ code, text });
    });
  });
}

const jobsIn = (out: string, id: string) => {
  try {
    return readdirSync(join(folder, out, `${id}-mnist-quick`, "jobs")).filter((name) => name.endsWith(".json"));
  } catch {
    return [];
  }
};

/** All of a record but when it was made. */
function recordIn(out: string, id: string): unknown {
  const text = readFileSync(join(folder, out, `${id}-mnist-quick`, "record.json"), "utf8");
  return { ...(JSON.parse(text) as object), started: null, finished: null };
}

test("killed with SIGKILL in either experiment and resumed, a run leaves the same records as one that was not", async () => {
  const whole = await run("whole", []);
  expect(whole.code, whole.text).toBe(0);
  // Once in the midst of the first experiment, then in the midst of the second; a file is torn besides.
  const first = await run("killed", [], () => jobsIn("killed", "E5").length >= 3);
  expect(first.code).toBeNull();
  const kept = jobsIn("killed", "E5");
  expect(kept.length).toBeGreaterThanOrEqual(3);
  expect(kept.length).toBeLessThan(4 * SEEDS);
  const second = await run("killed", ["--resume"], () => jobsIn("killed", "E20").length >= 1);
  expect(second.code).toBeNull();
  expect(second.text).toContain(`E5  ${kept.length} of ${4 * SEEDS} jobs`);
  for (const name of kept) expect(second.text).toContain(`${name.replace(/\.json$/, "")} (kept)`);
  const torn = join(folder, "killed/E20-mnist-quick/jobs", jobsIn("killed", "E20")[0]!);
  writeFileSync(torn, readFileSync(torn, "utf8").slice(0, 40));
  const last = await run("killed", ["--resume"]);
  expect(last.code, last.text).toBe(0);
  for (const id of IDS) expect(recordIn("killed", id)).toEqual(recordIn("whole", id));
}, 120_000);
