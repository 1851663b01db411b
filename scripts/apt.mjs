// Installs packages of Debian where that is possible without asking.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";

/** Whether this is root on a system with Debian's package manager. */
export function isAptRoot() {
  return process.platform === "linux" && process.getuid?.() === 0 && existsSync("/etc/debian_version");
}

/** Like isAptRoot, but not on Ubuntu, some of whose packages are only stubs. */
export function isDebianRoot() {
  return isAptRoot() && !/^ID=ubuntu/m.test(readFileSync("/etc/os-release", "utf8"));
}

/** Installs a package; asks for newer package lists if it is not found at once. */
export function aptInstall(name, { command = ["apt-get"] } = {}) {
  const options = { stdio: ["ignore", "ignore", "ignore"], env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" } };
  const run = (...args) => spawnSync(command[0], [...command.slice(1), ...args], options).status === 0;
  const install = () => run("install", "-y", "--no-install-recommends", name);
  return install() || (run("update") && install());
}
