// Interleaved rounds: in each round every participant does the work once for a while, in an order that turns from round to
// round, so that a slow minute of the machine meets all of them. A row holds medians over the rounds.
import { watched } from "./machine.mjs";
import { median } from "./peers/serve.mjs";

/** A run beside which other programs took more of the processors than this is repeated, at most so many times. */
const QUIET = 0.05;
const ATTEMPTS = 4;
/** A participant that cannot do the first steps of a work in this time is left out. */
const CHECK_MS = 30_000;
/** Seconds of training after which a disturbed run is not repeated. */
const LONG = 10;

const turn = (list, by) => list.map((_, i) => list[(i + by) % list.length]);
const spreadOf = (list) => [Math.min(...list), Math.max(...list)];

/** The largest difference, relative to the largest value, over everything that both sampled. */
function disagreement(own, other) {
  let worst = 0;
  for (const name of Object.keys(own).filter((key) => key in other)) {
    const scale = Math.max(...own[name].map(Math.abs), 1e-30);
    own[name].forEach((value, i) => {
      const difference = Math.abs(value - other[name][i]) / scale;
      worst = Math.max(worst, Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference);
    });
  }
  return worst;
}

function rowOf(work, unit, samples, extra = {}) {
  const names = Object.keys(samples);
  const medians = Object.fromEntries(names.map((name) => [name, median(samples[name])]));
  const { evenkeel, limit, ...peers } = medians;
  const spread = Object.fromEntries(names.map((name) => [name, spreadOf(samples[name])]));
  return { work: work.name, unit, evenkeel, peers, ...(limit === undefined ? {} : { limit }), spread, ...extra };
}

/** Participants that can do the work, with the work prepared; the reasons of the others go into `notes`. */
async function prepare(work, field, { peers, threads }, notes) {
  const ready = [];
  const add = async (name, count, own, divide = 1) => {
    const participant = await field.get(name, count);
    if (participant === null) return;
    try {
      const { note } = await participant.ask({ do: "prepare", work: own });
      if (note) notes[name] = note;
      else ready.push({ name, participant, divide, threads: count });
    } catch (error) {
      notes[name] = error.message;
    }
  };
  const names = ["evenkeel", ...peers.filter((name) => (work.peers ?? peers).includes(name))];
  for (const count of work.scaling ?? [threads]) for (const name of names) await add(name, count, work);
  if (work.limit) await add("limit", threads, work.limit, work.limit.rounds);
  return ready;
}

async function compare(ready, notes, field) {
  const agreement = {};
  const reference = ready.find(({ name }) => name === "evenkeel");
  if (reference === undefined) return agreement;
  const { values } = await reference.participant.ask({ do: "check" });
  for (const entry of ready.filter(({ name }) => name !== "evenkeel" && name !== "limit")) {
    try {
      const answer = await entry.participant.ask({ do: "check" }, CHECK_MS);
      agreement[entry.name] = Math.max(agreement[entry.name] ?? 0, disagreement(values, answer.values));
    } catch (error) {
      notes[entry.name] = error.message;
      entry.failed = true;
      field.forget(entry.participant);
    }
  }
  return agreement;
}

/** The answer least disturbed by other programs. What takes longer than `again` seconds is not asked for anew. */
async function askQuietly(participant, request, again = Number.POSITIVE_INFINITY) {
  let best = null;
  for (let attempt = 0; attempt < ATTEMPTS && !(best?.others < QUIET || best?.result.seconds > again); attempt++) {
    const run = await watched([process.pid, participant.child.pid], () => participant.ask(request));
    if (best === null || run.others < best.others) best = run;
  }
  return { ...best.result, others: best.others };
}

/** Work that participants repeat. */
async function measureRepeated(work, field, options) {
  const notes = {};
  const prepared = await prepare(work, field, options, notes);
  const agreement = await compare(prepared, notes, field);
  const ready = prepared.filter(({ failed }) => !failed);
  const times = ready.map(() => []);
  const disturbance = [];
  for (let round = 0; round < options.rounds; round++) {
    for (const entry of turn(ready, round)) {
      const { ms, others } = await askQuietly(entry.participant, { do: "run", seconds: options.seconds });
      disturbance.push(others);
      times[ready.indexOf(entry)].push(ms / entry.divide);
    }
  }
  for (const { participant } of ready) await participant.ask({ do: "drop" });
  const samples = work.scaling
    ? ratios(ready, times, work.scaling)
    : Object.fromEntries(ready.map(({ name }, i) => [name, times[i]]));
  return rowOf(work, work.scaling ? "times faster" : "ms", samples, { agreement, notes, others: median(disturbance) });
}

/** Time on the first number of threads over time on the second, round by round. */
function ratios(ready, times, [few, many]) {
  const timesOf = (name, threads) => times[ready.findIndex((entry) => entry.name === name && entry.threads === threads)];
  const names = [...new Set(ready.map(({ name }) => name))].filter((name) => timesOf(name, few) && timesOf(name, many));
  return Object.fromEntries(names.map((name) => [name, timesOf(name, few).map((ms, i) => ms / timesOf(name, many)[i])]));
}

/** Work that is a process of its own each time. */
function measureOnce(work, { peers, rounds, threads }) {
  const names = ["evenkeel", ...peers];
  const [samples, notes] = [{}, {}];
  for (let round = 0; round < rounds; round++) {
    for (const name of turn(names, round)) {
      const result = work.once(name, { threads });
      if (result === null) continue;
      samples[name] = [...(samples[name] ?? []), result.value];
      if (result.note) notes[name] = result.note;
    }
  }
  if (!samples.evenkeel) throw new Error(`${work.name}: evenkeel gave no result`);
  return rowOf(work, work.unit, samples, { notes });
}

/** A run of a work that ends by itself, for each of its seeds; participants take turns. */
async function measureSeeds(work, field, options) {
  const notes = {};
  const ready = await prepare(work, field, options, notes);
  const results = Object.fromEntries(ready.map(({ name }) => [name, []]));
  for (const [round, seed] of work.seeds.entries()) {
    for (const { name, participant } of turn(ready, round)) {
      if (notes[name]) continue;
      const result = await askQuietly(participant, { do: "once", seed }, LONG).catch(({ message }) => {
        notes[name] = message;
        field.forget(participant);
      });
      if (!result) continue;
      if (result.accuracy >= work.accuracy) results[name].push(result);
      else notes[name] = `not reached in ${work.patience} seconds with seed ${seed}: ${(100 * result.accuracy).toFixed(1)} %`;
    }
  }
  for (const { participant } of ready) if (!participant.failure) await participant.ask({ do: "drop" });
  const others = median(Object.values(results).flatMap((list) => list.map((result) => result.others)));
  const samples = {};
  for (const [name, list] of Object.entries(results)) {
    if (list.length < work.seeds.length) continue; // its note says why
    samples[name] = list.map(({ seconds }) => seconds);
    notes[name] = `${list.map(({ steps }) => steps).join(", ")} steps`;
  }
  if (!samples.evenkeel) throw new Error(`${work.name}: evenkeel: ${notes.evenkeel}`);
  return rowOf(work, work.unit, samples, { notes, others });
}

/** One row of the report. */
export async function measure(work, field, options) {
  if (work.once) return measureOnce(work, options);
  if (work.seeds) return measureSeeds(work, field, options);
  if (!work.measure) return measureRepeated(work, field, options);
  const { value, note } = work.measure();
  return rowOf(work, work.unit, { evenkeel: [value] }, { notes: { evenkeel: note } });
}
