// Finds a Chromium-family browser for the browser tests, and installs one where that is possible without asking.
import { accessSync, constants, existsSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { delimiter, join } from "node:path";
import { aptInstall, isDebianRoot } from "./apt.mjs";

const LINUX_NAMES = [
  "google-chrome-stable",
  "google-chrome",
  "chromium",
  "chromium-browser",
  "microsoft-edge-stable",
  "microsoft-edge",
];
const MAC_APPS = ["Google Chrome", "Chromium", "Microsoft Edge", "Google Chrome Canary"];
const WINDOWS_PATHS = [
  "Google/Chrome/Application/chrome.exe",
  "Chromium/Application/chrome.exe",
  "Microsoft/Edge/Application/msedge.exe",
];

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** The places to look at, best first. */
function candidates({ platform, env }) {
  if (platform === "win32") {
    const roots = [env.PROGRAMFILES, env["PROGRAMFILES(X86)"], env.LOCALAPPDATA].filter(Boolean);
    return WINDOWS_PATHS.flatMap((path) => roots.map((root) => join(root, path)));
  }
  const folders = (env.PATH ?? "").split(delimiter).filter(Boolean);
  const onPath = LINUX_NAMES.flatMap((name) => folders.map((folder) => join(folder, name)));
  if (platform !== "darwin") return [...onPath, "/opt/google/chrome/chrome", "/snap/bin/chromium", "/usr/lib/chromium/chromium"];
  const roots = ["/Applications", ...(env.HOME ? [join(env.HOME, "Applications")] : [])];
  return [...MAC_APPS.flatMap((app) => roots.map((root) => join(root, `${app}.app`, "Contents", "MacOS", app))), ...onPath];
}

/** What `npx playwright-core install chromium` has put into Playwright's own cache. */
function playwrightBrowser() {
  try {
    const path = createRequire(import.meta.url)("playwright-core").chromium.executablePath();
    return existsSync(path) ? path : undefined;
  } catch {
    return undefined;
  }
}

/**
 * The path of a browser, or undefined. `CHROME_PATH` comes first and is not second-guessed.
 * @throws Error if CHROME_PATH is set to something that is not an executable file
 */
export function findBrowser({ platform = process.platform, env = process.env } = {}) {
  if (env.CHROME_PATH) {
    if (isExecutable(env.CHROME_PATH)) return env.CHROME_PATH;
    throw new Error(`CHROME_PATH: expected the path of an executable browser, got "${env.CHROME_PATH}". Correct or unset it.`);
  }
  return candidates({ platform, env }).find(isExecutable) ?? playwrightBrowser();
}

/** Like findBrowser, but installs Debian's Chromium when run by root there. Undefined if there is still none. */
export function ensureBrowser() {
  const found = findBrowser();
  if (found !== undefined || !isDebianRoot()) return found;
  console.error("evenkeel: no browser found, installing Debian's chromium for the browser tests");
  aptInstall("chromium");
  return findBrowser();
}

export const NO_BROWSER =
  "no browser for the browser tests: install Chrome, Chromium or Edge, or set CHROME_PATH, or run `npm run test:node` for the tests without one";
