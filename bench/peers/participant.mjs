// The parent's side of a participant: starts the child and asks it, one request at a time (see serve.mjs).
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

export class Participant {
  /** @param command program and arguments */
  constructor(name, threads, [program, ...args]) {
    this.name = name;
    this.threads = threads;
    this.errors = "";
    this.waiting = null;
    this.child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"] });
    this.child.stderr.on("data", (text) => {
      this.errors = `${this.errors}${text}`.slice(-2000);
    });
    this.child.stdin.on("error", () => {});
    this.child.on("error", (error) => this.settle({ error: error.message }));
    this.child.on("exit", (code) => this.settle({ error: `ended with code ${code}: ${this.errors.trim().split("\n").at(-1)}` }));
    createInterface({ input: this.child.stdout }).on("line", (line) => this.settle(JSON.parse(line)));
  }

  settle(answer) {
    if (answer.error) this.failure ??= this.waiting ? null : answer.error;
    this.waiting?.(answer);
    this.waiting = null;
  }

  /** @throws Error if the child failed to do it */
  async ask(request) {
    const answer = await new Promise((resolve) => {
      if (this.failure || this.child.exitCode !== null) resolve({ error: this.failure ?? "is not running" });
      this.waiting = resolve;
      this.child.stdin.write(`${JSON.stringify(request)}\n`);
    });
    if (answer.error) throw new Error(`${this.name}: ${answer.error}`);
    return answer;
  }

  async start() {
    const { versions } = await this.ask({ do: "hello", threads: this.threads });
    this.versions = versions;
    return this;
  }

  stop() {
    this.child.stdin.end();
  }
}
