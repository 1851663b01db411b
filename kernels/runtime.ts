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
@inline const ARRIVED: usize = 64;
@inline const GENERATION: usize = 128;

// A call record: kernel, barrier before it (0 or 1), bytes of the record, units of work, units that stay together.
@inline const HEADER: usize = 24;

let control: usize = 0;
let me: i32 = 0;
/** Memory that this thread alone uses while inside a kernel. */
export let workspace: usize = 0;

export function setup(controlBlock: usize, thread: i32, threadWorkspace: usize): void {
  control = controlBlock;
  me = thread;
  workspace = threadWorkspace;
}

function waitWhile(address: usize, expected: i32): void {
  const spin = load<i32>(control + SPIN);
  for (let n = 0; n < spin; n++) if (atomic.load<i32>(address) != expected) return;
  while (atomic.load<i32>(address) == expected) wait(address, expected);
}

function barrier(threads: i32): void {
  const generation = atomic.load<i32>(control + GENERATION);
  if (atomic.add<i32>(control + ARRIVED, 1) == threads - 1) {
    atomic.store<i32>(control + ARRIVED, 0);
    atomic.add<i32>(control + GENERATION, 1);
    atomic.notify(control + GENERATION, threads);
  } else waitWhile(control + GENERATION, generation);
}

// This thread's share of each call: whole grains, split evenly, the same for a given shape and number of threads.
function walk(threads: i32): void {
  const end = load<usize>(control + END);
  for (let call = load<usize>(control + PROGRAM); call < end; call += load<i32>(call, 8)) {
    if (threads > 1 && load<i32>(call, 4)) barrier(threads);
    const units = load<i32>(call, 12), grain = load<i32>(call, 16);
    const grains = (units + grain - 1) / grain;
    const from = <i32>(<i64>grains * me / threads) * grain;
    const to = min(units, <i32>(<i64>grains * (me + 1) / threads) * grain);
    if (from < to) dispatch(load<i32>(call), call + HEADER, from, to);
  }
  if (threads > 1) barrier(threads);
}

/** Runs the program on all threads; called by thread 0. */
export function run(): void {
  const threads = load<i32>(control + THREADS);
  if (threads > 1) {
    atomic.add<i32>(control + EPOCH, 1);
    atomic.notify(control + EPOCH, threads);
  }
  walk(threads);
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
