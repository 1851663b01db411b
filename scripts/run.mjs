// Runs a child in the foreground: its exit code becomes ours, and signals that only we get are passed on.
import { spawn } from "node:child_process";
import { constants } from "node:os";
import { root } from "./paths.mjs";

/** npm passes on a signal that the terminal has also sent to us; twice within this time is once. */
const REPEAT_MS = 500;

/** Runs Node with the arguments and resolves to the exit code (128 + n after signal n). */
export function runNode(args, env = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: root, stdio: "inherit", env: { ...process.env, ...env } });
    const stop = forwardSignals(child);
    child.on("error", (error) => {
      stop();
      reject(error);
    });
    child.on("exit", (code, signal) => {
      stop();
      resolve(signal ? 128 + (constants.signals[signal] ?? 0) : (code ?? 1));
    });
  });
}

function forwardSignals(child) {
  const last = new Map();
  const handler = (signal) => {
    // Ctrl-C in a terminal has already reached the child, which is in the same process group.
    if (signal === "SIGINT" && process.stdin.isTTY) return;
    const now = Date.now();
    if (now - (last.get(signal) ?? Number.NEGATIVE_INFINITY) < REPEAT_MS) return;
    last.set(signal, now);
    child.kill(signal);
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
  for (const signal of signals) process.on(signal, handler);
  return () => {
    for (const signal of signals) process.off(signal, handler);
  };
}
