// Who can take part, how each is started, and what is missing.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Participant } from "./participant.mjs";
import { torchCommand } from "./torch.mjs";

export const PEERS = ["torch", "tfjs", "jax"];
const INSTALL = "npm run bench:install";
const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const packages = { tfjs: "@tensorflow/tfjs-backend-wasm", jax: "@jax-js/jax" };

function commandOf(name) {
  if (name === "torch") return torchCommand();
  if (name === "limit") return commandOf("evenkeel");
  if (packages[name] && !existsSync(at(`../node_modules/${packages[name]}`))) return null;
  return [process.execPath, at(`${name}.mjs`)];
}

/** Starts participants on demand, once for each number of threads. */
export class Field {
  constructor() {
    this.started = new Map();
    this.missing = {};
    this.versions = {};
  }

  /** A running participant, or null with the reason in `missing`. */
  async get(name, threads) {
    const key = `${name} ${threads}`;
    if (!this.started.has(key)) this.started.set(key, await this.start(name, threads));
    return this.started.get(key);
  }

  async start(name, threads) {
    const command = commandOf(name);
    if (command === null) {
      this.missing[name] = `not installed; run: ${INSTALL}`;
      return null;
    }
    const participant = new Participant(name, threads, command);
    try {
      await participant.start();
      Object.assign(this.versions, participant.versions);
      return participant;
    } catch (error) {
      if (name === "evenkeel") throw error;
      participant.stop();
      this.missing[name] = `did not start (${error.message}); reinstall: ${INSTALL}`;
      return null;
    }
  }

  /** Ends a participant that failed; the next `get` starts it anew. */
  forget(participant) {
    participant.kill();
    for (const [key, value] of this.started) if (value === participant) this.started.delete(key);
  }

  stop() {
    for (const participant of this.started.values()) participant?.stop();
  }
}
