// Installs the packages that package-lock.json names, if node_modules does not hold them already.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const NO_NETWORK = /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|ENOTCACHED|ERR_SOCKET_TIMEOUT/;

// Nothing but the registry is asked: no install scripts, and nothing that would download by itself.
const FLAGS = [
  "--ignore-scripts",
  "--include=dev",
  "--prefer-offline",
  "--no-audit",
  "--no-fund",
  "--no-update-notifier",
  "--loglevel=error",
  "--fetch-retry-mintimeout=1000",
  "--fetch-retry-maxtimeout=5000",
];
const ENVIRONMENT = { ONNXRUNTIME_NODE_INSTALL: "skip", PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD: "1" };

const packagesOf = (path) => JSON.parse(readFileSync(path, "utf8")).packages ?? {};

/**
 * Whether node_modules holds what the lockfile names. Compares contents, not times: a checkout that touches the lockfile
 * without changing it must not ask for a network.
 */
export function isInstalled(folder) {
  const hidden = join(folder, "node_modules", ".package-lock.json");
  if (!existsSync(hidden)) return false;
  const installed = packagesOf(hidden);
  return Object.entries(packagesOf(join(folder, "package-lock.json"))).every(([path, wanted]) => {
    if (!path.includes("node_modules/") || wanted.link) return true;
    const found = installed[path];
    if (found === undefined) return Boolean(wanted.optional || wanted.devOptional || wanted.peer);
    return found.version === wanted.version && found.integrity === wanted.integrity && existsSync(join(folder, path));
  });
}

/** How to start npm: the one that started this script, else the one on the path (a shell script on Windows). */
function npmCommand() {
  const started = process.env.npm_execpath;
  if (started && /npm-cli\.[cm]?js$/.test(started) && existsSync(started))
    return { file: process.execPath, before: [started], shell: false };
  return { file: "npm", before: [], shell: process.platform === "win32" };
}

/** @throws Error with one line that says what is missing */
export function install(folder, name) {
  if (isInstalled(folder)) return;
  console.error(`evenkeel: installing ${name} (once; needs the npm registry)`);
  const { file, before, shell } = npmCommand();
  const result = spawnSync(file, [...before, "ci", ...FLAGS], {
    cwd: folder,
    shell,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...ENVIRONMENT },
  });
  if (result.error?.code === "ENOENT" || result.status === 127)
    throw new Error("npm was not found; install Node.js together with npm");
  if (result.signal) throw new Error(`installing was stopped by ${result.signal}`);
  if (result.status === 0) return;
  const output = `${result.stdout ?? ""}${result.stderr ?? ""}`;
  if (NO_NETWORK.test(output)) {
    throw new Error("the npm registry cannot be reached; the first run needs a network connection, later runs do not");
  }
  const reason = output.split("\n").find((line) => /^npm (error|ERR!) (?!code)\S/.test(line)) ?? "no reason given";
  throw new Error(`npm ci failed for ${name}: ${reason.replace(/^npm (error|ERR!) /, "")}`);
}
