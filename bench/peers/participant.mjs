// The parent's side of a participant: starts the child and asks it, one request at a time (see serve.mjs).
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

export class Participant {
  /** @param command program and arguments */
  constructor(name, threads, [program, ...args]) {
    this.name = name;
    this.threads = threads;
    this.errors = "";
    this.failure = null;
    this.waiting = null;
    this.child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"] });
    this.child.stderr.on("data", (text) => {
      this.errors = `${this.errors}${text}`.slice(-2000);
    });
    this.child.stdin.on("error", () => {});
    this.child.on("error", (error) => this.end(error.message));
    this.child.on("exit", (code) => this.end(`ended with code ${code}: ${this.errors.trim().split("\n").at(-1)}`));
    createInterface({ input: this.child.stdout }).on("line", (line) => this.settle(JSON.parse(line)));
  }

  end(failure) {
    this.failure ??= failure;
    this.settle({ error: failure });
  }

  settle(answer) {
    this.waiting?.(answer);
    this.waiting = null;
  }

  /** @throws Error if the child failed to do it, or not in `patience` milliseconds (it is of no use then) */
  async ask(request, patience = 600_000) {
    let timer;
    const answer = await new Promise((resolve) => {
      if (this.failure) return resolve({ error: this.failure });
      this.waiting = resolve;
      timer = setTimeout(() => resolve({ error: `took more than ${patience / 1000} seconds` }), patience);
      this.child.stdin.write(`${JSON.stringify(request)}\n`);
    });
    clearTimeout(timer);
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

  kill() {
    this.child.kill("SIGKILL");
  }
}
