import { DataError } from "../core/errors.js";
import { formatShape, sameShape } from "../core/shape.js";
import { BatchNorm, Conv1d, Conv2d, Flatten, Linear, type Module, type WiredModule, wiringOf } from "../nn/index.js";
import { BYTES_PER_VALUE, type StoredState, type StoredTensor } from "./stored.js";

/** The tensors of one layer of the file, by their own names. */
type Group = ReadonlyMap<string, StoredTensor>;

const DEFAULTS = {
  keras: { name: "Keras", eps: 1e-3, momentum: 0.01 },
  flax: { name: "Flax", eps: 1e-5, momentum: 0.01 },
} as const;

/** Names of a layer's tensors, and what they are called here. */
const NORM_KEYS: Readonly<Record<string, string>> = {
  gamma: "weight",
  scale: "weight",
  beta: "bias",
  bias: "bias",
  moving_mean: "running_mean",
  mean: "running_mean",
  moving_variance: "running_var",
  var: "running_var",
};
const COLLECTIONS = /^(params|batch_stats)[./]/;

const natural = new Intl.Collator("en", { numeric: true });

/** "params/Dense_0/kernel" → ["Dense_0", "kernel"]; Keras ends names in ":0". */
function splitName(key: string): [layer: string, name: string] {
  const path = key.replace(COLLECTIONS, "").replace(/:0$/, "").replaceAll("/", ".");
  const at = path.lastIndexOf(".");
  return [path.slice(0, Math.max(0, at)), path.slice(at + 1)];
}

/** Layers of the file in the order of their numbers: "dense", "dense_1", … "dense_10". */
function groupsOf(tensors: StoredState["tensors"]): [string, Group][] {
  const groups = new Map<string, Map<string, StoredTensor>>();
  for (const [key, t] of tensors) {
    const [layer, name] = splitName(key);
    const group = groups.get(layer) ?? new Map();
    groups.set(layer, group.set(name, t));
  }
  return [...groups].sort(([a], [b]) => natural.compare(a, b));
}

/** The tensor with its axes in another order: axis i of the result is axis `order[i]` of `t`. */
export function permuted(t: StoredTensor, order: readonly number[]): StoredTensor {
  const width = BYTES_PER_VALUE[t.dtype];
  const strides = t.shape.map((_, i) => t.shape.slice(i + 1).reduce((a, b) => a * b, 1));
  const shape = order.map((axis) => t.shape[axis]!);
  const out = new Uint8Array(t.bytes.length);
  const index = shape.map(() => 0);
  for (let i = 0; i < out.length; i += width) {
    const from = order.reduce((sum, axis, k) => sum + index[k]! * strides[axis]!, 0) * width;
    out.set(t.bytes.subarray(from, from + width), i);
    for (let k = shape.length - 1; k >= 0 && ++index[k]! === shape[k]; k--) index[k] = 0;
  }
  return { dtype: t.dtype, shape, bytes: out };
}

/** [in, out] → [out, in]; [width, in, out] and [height, width, in, out] → [out, in, height, width]. */
const kernelOf = (t: StoredTensor) => {
  const rank = t.shape.length;
  return permuted(t, [rank - 1, rank - 2, ...Array.from({ length: rank - 2 }, (_, i) => i)]);
};

/** Channels of the image that is flattened before `node`, or null if none is. */
function channelsBeforeFlatten(node: WiredModule, nodes: readonly WiredModule[]): number | null {
  const before = (n: WiredModule) => nodes.find(({ output }) => output === n.inputs[0]);
  let at = before(node);
  if (!(at?.module instanceof Flatten)) return null;
  for (at = before(at); at !== undefined; at = before(at)) {
    if (at.module instanceof Conv2d || at.module instanceof Conv1d) return at.module.outChannels;
    if (at.module instanceof BatchNorm) return at.module.numFeatures;
  }
  return null;
}

/** Columns of a dense kernel [out, in] from the order (place, channel) into (channel, place). */
function channelsFirst(kernel: StoredTensor, channels: number): StoredTensor {
  const [out, inputs] = kernel.shape as [number, number];
  const split = { ...kernel, shape: [out, inputs / channels, channels] };
  return { ...permuted(split, [0, 2, 1]), shape: [out, inputs] };
}

class Matching {
  readonly state = new Map<string, StoredTensor>();

  constructor(
    private readonly framework: string,
    private readonly notes: string[],
  ) {}

  /** Pairs layers of one kind in order. @throws DataError if their numbers differ */
  pair(kind: string, layers: readonly WiredModule[], groups: readonly [string, Group][]): [WiredModule, string, Group][] {
    if (layers.length !== groups.length) {
      const names = groups.map(([name]) => name).join(", ") || "none";
      throw new DataError(
        `adaptState: expected ${layers.length} layers of kind ${kind} in the ${this.framework} file, got ${groups.length} (${names}).`,
      );
    }
    if (layers.length > 0) {
      const list = layers.map(({ path }, i) => `${groups[i]![0]} → ${path}`).join(", ");
      this.notes.push(`Layers of kind ${kind} matched in order: ${list}.`);
    }
    return layers.map((layer, i) => [layer, ...groups[i]!]);
  }

  set({ path, module }: WiredModule, name: string, t: StoredTensor, from: string): void {
    const key = path === "" ? name : `${path}.${name}`;
    const wanted = module.stateDict().get(name);
    if (wanted !== undefined && !sameShape(wanted.shape, t.shape)) {
      throw new DataError(
        `adaptState: expected ${formatShape(wanted.shape)} for ${key}, got ${formatShape(t.shape)} from ${from}. Do the layers match?`,
      );
    }
    this.state.set(key, t);
  }
}

/**
 * The tensors of a Keras or Flax file under a model's keys: see `adaptState`.
 *
 * Keras: kernel, bias; gamma, beta, moving_mean, moving_variance. Flax: kernel, bias; scale, bias; mean, var. Both keep
 * channels last, and flatten images in that order.
 */
export function adaptChannelsLast(
  model: Module,
  { tensors }: StoredState,
  convention: keyof typeof DEFAULTS,
  notes: string[],
): Map<string, StoredTensor> {
  const { name: framework, eps, momentum } = DEFAULTS[convention];
  const { nodes } = wiringOf(model);
  const groups = groupsOf(tensors);
  const withKernel = (rank: number) => groups.filter(([, group]) => group.get("kernel")?.shape.length === rank);
  const norms = groups.filter(([, group]) => !group.has("kernel"));
  const matching = new Matching(framework, notes);
  const kinds = [
    ["Linear", 2, (m: Module) => m instanceof Linear],
    ["Conv1d", 3, (m: Module) => m instanceof Conv1d],
    ["Conv2d", 4, (m: Module) => m instanceof Conv2d],
  ] as const;
  for (const [kind, rank, is] of kinds) {
    const pairs = matching.pair(
      kind,
      nodes.filter(({ module }) => is(module)),
      withKernel(rank),
    );
    for (const [layer, from, group] of pairs) {
      let kernel = kernelOf(group.get("kernel")!);
      const channels = kind === "Linear" ? channelsBeforeFlatten(layer, nodes) : null;
      if (channels !== null && kernel.shape[1]! > channels && kernel.shape[1]! % channels === 0) {
        kernel = channelsFirst(kernel, channels);
        notes.push(`${from}: inputs put from the order (place, channel) into (channel, place), since ${framework} flattens so.`);
      }
      matching.set(layer, "weight", kernel, from);
      const bias = group.get("bias");
      if (bias !== undefined) matching.set(layer, "bias", bias, from);
    }
  }
  const layers = nodes.filter(({ module }) => module instanceof BatchNorm);
  for (const [layer, from, group] of matching.pair("batch normalization", layers, norms)) {
    for (const [name, t] of group) {
      const key = NORM_KEYS[name];
      if (key === undefined) throw new DataError(`adaptState: expected names of batch normalization in ${from}, got "${name}".`);
      matching.set(layer, key, t, from);
    }
  }
  noteDefaults(layers, framework, eps, momentum, notes);
  return matching.state;
}

/** What a file of weights cannot say, and batch normalization depends on. */
function noteDefaults(layers: readonly WiredModule[], framework: string, eps: number, momentum: number, notes: string[]): void {
  const norms = layers.map(({ module }) => module as BatchNorm);
  if (norms.length === 0) return;
  const list = (values: readonly (number | null)[]) => [...new Set(values)].join(" and ");
  notes.push(
    `The file does not say eps: these layers have ${list(norms.map((m) => m.eps))}, ${framework}'s default is ${eps}.`,
    `${framework}'s momentum is the weight of the old value: its default of ${1 - momentum} is ${momentum} here; these layers have ` +
      `${list(norms.map((m) => m.momentum))}.`,
  );
  if (norms.some((m) => m.unbiasedRunningVar)) {
    notes.push(
      `${framework} keeps the biased variance; layers that shall go on so in training need unbiasedRunningVar: false. Evaluation is the same.`,
    );
  }
}
