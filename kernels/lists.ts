// Lists of arrays, and work that is cut over all of them together. A list lies behind the arguments of its record as a table
// of 32-bit words, its length and then its entries; the argument is the first entry's offset from the arguments.

/**
 * Floats that a unit has: 64 bytes, so that no two threads write the same cache line. Units do not span arrays; those of an
 * array follow those of the one before. Also in src/engine/wasm/schedule.ts.
 */
@inline const LINE: i32 = 16;

/** Array `i` of a list. */
@inline export function arrayAt(args: usize, list: usize, i: i32): usize {
  return load<usize>(args + list + (<usize>i << 2));
}

/** Number `i` of a list of integers. */
@inline export function intAt(args: usize, list: usize, i: i32): i32 {
  return load<i32>(args + list + (<usize>i << 2));
}

@inline export function lengthOf(args: usize, list: usize): i32 {
  return load<i32>(args + list - 4);
}

/** Units of an array of `n` floats. */
@inline export function linesOf(n: i32): i32 {
  return (n + LINE - 1) / LINE;
}

/** First float of units from `from` on, in the array whose first unit is `first`. */
@inline export function startIn(first: i32, from: i32): i32 {
  return max(from - first, 0) * LINE;
}

/** Behind the last float of units before `to`, in the array of `n` floats whose first unit is `first`. */
@inline export function endIn(first: i32, to: i32, n: i32): i32 {
  return min((to - first) * LINE, n);
}
