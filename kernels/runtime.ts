// Threads and the program. Every thread walks the same list of calls; see src/engine/wasm/layout.ts for the control block.
import { dispatch } from "./generated";

// Blocks while the 32-bit word at `address` equals `expected`, or not at all where the thread may not block.
@external("env", "wait")
declare function wait(address: usize, expected: i32): void;

@inline const THREADS: usize = 0;
@inline const SPIN: usize = 4;
@inline const EPOCH: usize = 8;
@inline const STOP: usize = 12;
@inline const PROGRAM: usize = 16;
@inline const END: usize = 20;
@inline const FAILED: usize = 24;
@inline const ARRIVED: usize = 64;
@inline const SLEEPERS: usize = 68;
@inline const GENERATION: usize = 128;
// A cache line for each thread: calls and pieces that it began, barriers that it came to.
@inline const PULSE: usize = 192;
@inline const PULSE_BYTES: usize = 64;

// A call record: kernel, barrier before it (0 or 1), bytes of the record, units of work, units that stay together.
@inline const HEADER: usize = 24;

// A share is computed in at most PIECES pieces, none smaller than PIECE grains: between them a thread shows that it lives.
@inline const PIECES: i32 = 16;
@inline const PIECE: i32 = 64;

let control: usize = 0;
let pulse: usize = 0;
let me: i32 = 0;
/** Memory that this thread alone uses while inside a kernel. */
export let workspace: usize = 0;

export function setup(controlBlock: usize, thread: i32, threadWorkspace: usize): void {
  control = controlBlock;
  pulse = controlBlock + PULSE + <usize>thread * PULSE_BYTES;
  me = thread;
  workspace = threadWorkspace;
}

// Whoever changes the word afterwards sees this thread among the sleepers, or this thread sees the change.
function waitWhile(address: usize, expected: i32): void {
  const spin = load<i32>(control + SPIN);
  for (let n = 0; n < spin; n++) if (atomic.load<i32>(address) != expected) return;
  atomic.add<i32>(control + SLEEPERS, 1);
  while (atomic.load<i32>(address) == expected) wait(address, expected);
  atomic.sub<i32>(control + SLEEPERS, 1);
}

function advance(address: usize, threads: i32): void {
  atomic.add<i32>(address, 1);
  if (atomic.load<i32>(control + SLEEPERS)) atomic.notify(address, threads);
}

// Whoever fails sets FAILED and then releases all others, who must not go on without its results.
@inline function leaveIfFailed(): void {
  if (atomic.load<i32>(control + FAILED)) unreachable();
}

function barrier(threads: i32): void {
  const generation = atomic.load<i32>(control + GENERATION);
  leaveIfFailed();
  store<i32>(pulse, load<i32>(pulse, 4) + 1, 4);
  if (atomic.add<i32>(control + ARRIVED, 1) == threads - 1) {
    atomic.store<i32>(control + ARRIVED, 0);
    advance(control + GENERATION, threads);
  } else waitWhile(control + GENERATION, generation);
  leaveIfFailed();
}

// This thread's share of a call: whole grains, split evenly, the same for a given shape and number of threads. What is not
// divided is thread 0's, so that calls of one grain need no barrier between them (src/engine/wasm/program.ts counts on it).
function compute(call: usize, threads: i32): void {
  const units = load<i32>(call, 12), grain = load<i32>(call, 16);
  const grains = (units + grain - 1) / grain;
  const first = <i32>((<i64>grains * me + threads - 1) / threads);
  const last = <i32>((<i64>grains * (me + 1) + threads - 1) / threads);
  const to = min(units, last * grain);
  const piece = threads == 1 ? grains : max(PIECE, (last - first + PIECES - 1) / PIECES);
  for (let at = first; at < last; at += piece) {
    store<i32>(pulse, load<i32>(pulse) + 1);
    dispatch(load<i32>(call), call + HEADER, at * grain, min(to, min(last, at + piece) * grain));
  }
}

function walk(threads: i32): void {
  const end = load<usize>(control + END);
  for (let call = load<usize>(control + PROGRAM); call < end; call += load<i32>(call, 8)) {
    if (threads > 1 && load<i32>(call, 4)) barrier(threads);
    compute(call, threads);
  }
  if (threads > 1) barrier(threads);
}

/** Runs the program on all threads; called by thread 0. */
export function run(): void {
  const threads = load<i32>(control + THREADS);
  if (threads > 1) advance(control + EPOCH, threads);
  walk(threads);
}

/** Runs the program on the calling thread, which is thread 0. */
export function runAlone(): void {
  walk(1);
}

/** Serves programs until told to stop; called once by every other thread. */
export function serve(seen: i32): void {
  for (;;) {
    waitWhile(control + EPOCH, seen);
    seen++;
    if (atomic.load<i32>(control + STOP)) return;
    walk(load<i32>(control + THREADS));
  }
}

/** First address behind the kernels' constants. */
export function heapBase(): usize {
  return __heap_base;
}
