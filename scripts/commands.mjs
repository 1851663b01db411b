// The commands behind the scripts of package.json. Node's built-ins alone: this runs before anything is installed.
import { ensureBrowser, NO_BROWSER } from "./browser.mjs";
import { build } from "./build.mjs";
import { install, isInstalled } from "./install.mjs";
import { ensureOnnxCases, NO_ONNX_CASES } from "./onnx-cases.mjs";
import { at, root } from "./paths.mjs";
import { runNode } from "./run.mjs";

const BIOME = at("node_modules/@biomejs/biome/bin/biome");
const TSC = at("node_modules/typescript/bin/tsc");
const VITEST = at("node_modules/vitest/vitest.mjs");
const PEERS = at("test/peers");

const installPackages = () => install(root, "the development packages");

function prepare() {
  installPackages();
  build();
}

/** What only tests compare with: heavy packages, which have a package.json of their own, and ONNX's own cases. */
function installPeers() {
  install(PEERS, "the packages that the tests compare with");
  if (ensureOnnxCases() === undefined) console.error(`evenkeel: ${NO_ONNX_CASES}`);
}

function requireBrowser() {
  const path = ensureBrowser();
  if (path === undefined) throw new Error(NO_BROWSER);
  return path;
}

const projects = (...names) => names.flatMap((name) => ["--project", name]);

async function test(args) {
  prepare();
  installPeers();
  return runNode([VITEST, "run", ...projects("node", "e2e"), ...args], { CHROME_PATH: requireBrowser() });
}

/** The tests that use the peers have types of their packages; without these there is nothing to check them with. */
function checkPeerTypes() {
  if (isInstalled(PEERS)) return runNode([TSC, "-p", at("test/peers/tsconfig.json")]);
  console.error("evenkeel: the types of test/peers are not checked: its packages are not installed (npm test does that)");
  return 0;
}

/** Runs all steps, so that one run shows everything that is wrong; the exit code is the first that is not 0. */
async function all(steps) {
  let result = 0;
  for (const step of steps) result = (await step()) || result;
  return result;
}

async function checkStatic() {
  prepare();
  return all([
    () => runNode([BIOME, "check", "."]),
    () => runNode([TSC, "-p", at("tsconfig.json")]),
    checkPeerTypes,
    () => runNode([at("scripts/check-dist.mjs")]),
    () => runNode([at("scripts/licenses.mjs"), "--check"]),
  ]);
}

const commands = {
  start(args) {
    prepare();
    return runNode([at("dist/cli.js"), "compare", ...args]);
  },
  test,
  "test:node"(args) {
    prepare();
    installPeers();
    return runNode([VITEST, "run", ...projects("node"), ...args]);
  },
  coverage(args) {
    prepare();
    installPeers();
    return runNode([VITEST, "run", "--coverage", ...projects("node"), ...args]);
  },
  verify(args) {
    prepare();
    installPeers();
    return runNode([VITEST, "run", ...projects("verify"), ...args], { CHROME_PATH: ensureBrowser() ?? "" });
  },
  build(args) {
    installPackages();
    build({ force: args.includes("--force") });
    return 0;
  },
  format(args) {
    installPackages();
    return runNode([BIOME, "check", "--write", ...(args.length > 0 ? args : ["."])]);
  },
  "check:static": checkStatic,
  check: () => all([checkStatic, () => test([])]),
};

/** Runs a command by name with its arguments and sets the exit code. */
export async function main([name, ...args]) {
  const command = Object.hasOwn(commands, name ?? "") ? commands[name] : undefined;
  if (command === undefined) throw new Error(`unknown command "${name ?? ""}"; there are ${Object.keys(commands).join(", ")}`);
  process.exitCode = await command(args);
}
