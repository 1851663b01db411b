// Finds the cases that the ONNX project publishes with its operators, and installs Debian's package of them where that is
// possible without asking.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { aptInstall, isAptRoot } from "./apt.mjs";

const PACKAGE = "libonnx-testdata";
const FOLDER = "/usr/share/libonnx-testdata/data";

/**
 * The folder that holds node/ and its neighbours, or undefined. `EVENKEEL_ONNX_CASES` comes first.
 * @throws Error if EVENKEEL_ONNX_CASES names another folder
 */
export function findOnnxCases({ env = process.env } = {}) {
  const own = env.EVENKEEL_ONNX_CASES;
  if (own && existsSync(join(own, "node"))) return own;
  if (own) throw new Error(`EVENKEEL_ONNX_CASES: expected a folder that holds node/ of ONNX's test data, got "${own}".`);
  return existsSync(join(FOLDER, "node")) ? FOLDER : undefined;
}

/** The version of ONNX whose cases the Debian package holds, as "1.12.0", or undefined if they are from elsewhere. */
export function onnxCasesVersion({ env = process.env } = {}) {
  if (env.EVENKEEL_ONNX_CASES) return undefined;
  const result = spawnSync("dpkg-query", ["-W", "-f", "$" + "{Version}", PACKAGE], { encoding: "utf8" });
  return result.status === 0 ? result.stdout.match(/^[\d.]+/)?.[0] : undefined;
}

/** How to start apt-get here without a question, or undefined: as root, and on a machine of a CI service with sudo. */
function aptCommand(env) {
  if (isAptRoot()) return ["apt-get"];
  const isRunner = env.CI === "true" && process.platform === "linux" && existsSync("/etc/debian_version");
  return isRunner ? ["sudo", "-n", "apt-get"] : undefined;
}

/** Like findOnnxCases, but installs Debian's package where it can. Undefined if there still are none. */
export function ensureOnnxCases({ env = process.env } = {}) {
  const found = findOnnxCases({ env });
  const command = aptCommand(env);
  if (found !== undefined || command === undefined) return found;
  console.error(`evenkeel: installing Debian's ${PACKAGE} for the tests against ONNX's own cases (once; 40 MB)`);
  aptInstall(PACKAGE, { command });
  return findOnnxCases({ env });
}

/** Whether a run without cases is a failure: where they can be installed, and on a CI service's Linux. */
export function onnxCasesRequired({ env = process.env } = {}) {
  return aptCommand(env) !== undefined || (env.CI === "true" && process.platform === "linux");
}

export const NO_ONNX_CASES = `ONNX's own cases did not run: there is no ${FOLDER}. Install Debian's ${PACKAGE} (apt-get install ${PACKAGE}), or let EVENKEEL_ONNX_CASES name a folder that holds node/ of ONNX's test data.`;
