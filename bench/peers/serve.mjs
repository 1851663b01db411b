// The child's side of a participant: one JSON request per line on stdin, one answer per line on stdout.
//
// {do: "hello", threads} → {versions}; {do: "prepare", work} → {} or {note} if the participant cannot do the work;
// {do: "once", ...} → what the work's once(...) returns;
// {do: "check"} → {values: {name: numbers}}; {do: "run", seconds} → {ms, repetitions}; {do: "drop"} → {}.
// A work is an object {repeat, check, drop?} or {once}; repeat() leaves nothing pending, or returns a promise of that.
import { createInterface } from "node:readline";

const MIN_REPETITIONS = 2;

export const median = (list) => {
  const sorted = [...list].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};

/** Repeats for about `seconds`; the first repetitions, a tenth of the time but at least one, only warm up. */
async function run(repeat, seconds) {
  const start = performance.now();
  do {
    const pending = repeat();
    if (pending) await pending;
  } while (performance.now() - start < seconds * 100);
  const times = [];
  const timed = performance.now();
  for (let now = timed; times.length < MIN_REPETITIONS || now - timed < seconds * 1000; ) {
    const before = now;
    const pending = repeat();
    if (pending) await pending;
    now = performance.now();
    times.push(now - before);
  }
  return { ms: median(times), repetitions: times.length };
}

/** Serves until stdin ends. `hello(threads)` starts the library; `kinds` maps a work's kind to what prepares it. */
export function serve(hello, kinds) {
  // Libraries greet on stdout, which belongs to the answers.
  console.log = console.info = console.warn = (...args) => console.error(...args);
  let current = null;
  const answers = {
    hello: async ({ threads }) => ({ versions: await hello(threads) }),
    prepare: async ({ work }) => {
      const prepared = (await kinds[work.kind]?.(work)) ?? "not written for this peer";
      if (typeof prepared === "string") return { note: prepared };
      current = prepared;
      return {};
    },
    check: async () => ({ values: await current.check() }),
    run: ({ seconds }) => run(current.repeat, seconds),
    once: (request) => current.once(request),
    drop: async () => {
      await current?.drop?.();
      current = null;
      return {};
    },
  };
  const lines = createInterface({ input: process.stdin });
  let queue = Promise.resolve();
  lines.on("line", (line) => {
    queue = queue.then(async () => {
      const request = JSON.parse(line);
      const answer = await answers[request.do](request).catch((error) => ({ error: String(error?.message ?? error) }));
      process.stdout.write(`${JSON.stringify(answer)}\n`);
    });
  });
  lines.on("close", () => queue.then(() => process.exit(0)));
}
