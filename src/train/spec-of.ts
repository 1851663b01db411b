import { OptionError } from "../core/errors.js";
import { paperLimits } from "../nn/batch-renorm.js";
import * as nn from "../nn/index.js";
import type { LayerSpec, NodeSpec, Spec } from "./layer-spec.js";

type Sizes = number | readonly number[];

/** One number where all axes are alike. */
const short = (sizes: Sizes): Sizes =>
  typeof sizes === "number" || sizes.every((n) => n === sizes[0]) ? (typeof sizes === "number" ? sizes : sizes[0]!) : [...sizes];

/** The options that differ from a layer's defaults. */
function changed<T extends object>(options: T, defaults: Partial<Record<keyof T, unknown>>): Partial<T> {
  const differs = ([key, value]: [string, unknown]) => value !== undefined && value !== defaults[key as keyof T];
  return Object.fromEntries(Object.entries(options).filter(differs)) as Partial<T>;
}

function batchNormOptions(bn: nn.BatchNorm) {
  const [weight, bias] = [bn.weight !== null, bn.bias !== null];
  const affine = weight || bias ? {} : { affine: false };
  return {
    ...changed(
      { eps: bn.eps, momentum: bn.momentum, unbiasedRunningVar: bn.unbiasedRunningVar, detachStats: bn.detachStats },
      { eps: 1e-5, momentum: 0.1, unbiasedRunningVar: true, detachStats: false },
    ),
    ...(weight === bias ? affine : { weight, bias }),
    ...(bn.runningMean === null ? { trackRunningStats: false } : {}),
    ...(bn.compat === null ? {} : { compat: bn.compat }),
  };
}

interface Convolution extends nn.Module {
  readonly outChannels: number;
  readonly kernelSize: Sizes;
  readonly stride: Sizes;
  readonly padding: Sizes;
  readonly dilation: Sizes;
  readonly groups: number;
  readonly bias: unknown;
}

function convolution<T extends string>(type: T, conv: Convolution, more: object = {}): LayerSpec {
  const options = {
    stride: short(conv.stride),
    padding: short(conv.padding),
    dilation: short(conv.dilation),
    groups: conv.groups,
    bias: conv.bias !== null,
    ...more,
  };
  const given = changed(options, { stride: 1, padding: 0, dilation: 1, groups: 1, bias: true });
  return { type, out: conv.outChannels, kernel: short(conv.kernelSize), ...given } as unknown as LayerSpec;
}

function windows(type: "maxPool2d" | "avgPool2d", pool: nn.MaxPool2d | nn.AvgPool2d): Spec<"maxPool2d"> {
  const [kernel, stride, padding] = [pool.kernelSize, pool.stride, pool.padding].map(short);
  const options = changed({ stride, padding }, { padding: 0 });
  return { type, kernel, ...options } as unknown as Spec<"maxPool2d">;
}

function limits(bn: nn.BatchRenorm, path: string): object {
  const found = changed({ rMax: bn.rMax, dMax: bn.dMax }, paperLimits);
  for (const [name, limit] of Object.entries(found)) {
    if (typeof limit !== "number")
      throw new OptionError(`specOf: layer "${path}": expected ${name} to be a number, got a function, which no file can hold.`);
  }
  return found;
}

function residual(module: nn.Residual, path: string): LayerSpec {
  const list = (part: nn.Module, name: string): LayerSpec[] => {
    if (isSequential(part)) return listOf(part, `${path}.${name}`);
    throw new OptionError(`specOf: layer "${path}.${name}": expected a Sequential in a Residual, got ${part.typeName}.`);
  };
  const branch = list(module.branch, "branch");
  return { type: "residual", branch, ...(module.shortcut === null ? {} : { shortcut: list(module.shortcut, "shortcut") }) };
}

function graph(module: nn.Graph, path: string): LayerSpec {
  const nodes = module.nodes.map(({ name, module: inner, inputs, output }): NodeSpec => {
    const layer =
      inner.constructor === nn.Add
        ? ({ type: "add" } as const)
        : inner instanceof nn.Concat && inner.constructor === nn.Concat
          ? ({ type: "concat", ...changed({ axis: inner.axis }, { axis: 1 }) } as const)
          : layerOf(inner, path === "" ? name : `${path}.${name}`);
    return { name, layer, inputs: [...inputs], ...(output === name ? {} : { output }) };
  });
  return { type: "graph", inputs: [...module.inputs], nodes, outputs: [...module.outputs] };
}

const isSequential = (module: nn.Module): module is nn.Sequential => module.constructor === nn.Sequential;

type Describe<M> = (module: M, path: string) => LayerSpec;
const known = new Map<unknown, Describe<never>>();
const describes = <M extends nn.Module>(type: abstract new (...args: never[]) => M, spec: Describe<M>) => known.set(type, spec);

describes(nn.Linear, (m) => ({ type: "linear", out: m.outFeatures, ...(m.bias === null ? { bias: false } : {}) }));
describes(nn.Conv1d, (m) => convolution("conv1d", m));
describes(nn.Conv2d, (m) => convolution("conv2d", m));
describes(nn.Conv3d, (m) => convolution("conv3d", m));
describes(nn.StdConv2d, (m) => convolution("stdConv2d", m, changed({ eps: m.eps }, { eps: 1e-6 })));
describes(nn.ConvTranspose2d, (m) =>
  convolution("convTranspose2d", m, changed({ outputPadding: short(m.outputPadding) }, { outputPadding: 0 })),
);
for (const type of [nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d])
  describes(type, (m: nn.BatchNorm) => ({ type: "batchNorm", ...batchNormOptions(m) }) as LayerSpec);
describes(nn.BatchRenorm, (m, path) => ({ type: "batchRenorm", ...limits(m, path), ...batchNormOptions(m) }) as LayerSpec);
describes(nn.GhostBatchNorm, (m) => ({ type: "ghostBatchNorm", ghostSize: m.ghostSize, ...batchNormOptions(m) }) as LayerSpec);
describes(nn.IterNorm, ({ groupSize, iterations, eps, momentum, affine }) => {
  const options = { iterations, eps, momentum, affine };
  return { type: "iterNorm", groupSize, ...changed(options, { iterations: 5, eps: 1e-5, momentum: 0.1, affine: true }) };
});
describes(nn.LayerNorm, ({ normalizedShape, eps, elementwiseAffine: affine, bias }) => {
  const options = { eps, affine, bias: bias !== null || !affine };
  return { type: "layerNorm", shape: [...normalizedShape], ...changed(options, { eps: 1e-5, affine: true, bias: true }) };
});
describes(nn.RMSNorm, ({ normalizedShape, eps, elementwiseAffine: affine }) => {
  const options = { ...(eps === null ? {} : { eps }), affine };
  return { type: "rmsNorm", shape: [...normalizedShape], ...changed(options, { affine: true }) };
});
describes(nn.GroupNorm, ({ numGroups: groups, eps, affine }) => {
  return { type: "groupNorm", groups, ...changed({ eps, affine }, { eps: 1e-5, affine: true }) };
});
for (const type of [nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d])
  describes(type, ({ eps, affine, momentum, trackRunningStats }: nn.InstanceNorm) => {
    const defaults = { eps: 1e-5, affine: false, momentum: 0.1, trackRunningStats: false };
    return { type: "instanceNorm", ...changed({ eps, affine, momentum, trackRunningStats }, defaults) } as LayerSpec;
  });
describes(nn.ReLU, () => ({ type: "relu" }));
describes(nn.Sigmoid, () => ({ type: "sigmoid" }));
describes(nn.Tanh, () => ({ type: "tanh" }));
describes(nn.GELU, () => ({ type: "gelu" }));
describes(nn.SiLU, () => ({ type: "silu" }));
describes(nn.Identity, () => ({ type: "identity" }));
describes(nn.Flatten, (m) => ({ type: "flatten", ...changed({ startAxis: m.startAxis }, { startAxis: 1 }) }));
describes(nn.LeakyReLU, (m) => ({ type: "leakyRelu", ...changed({ slope: m.negativeSlope }, { slope: 0.01 }) }));
describes(nn.Softmax, (m) => ({ type: "softmax", ...changed({ axis: m.axis }, { axis: 1 }) }));
describes(nn.Dropout, (m) => ({ type: "dropout", ...changed({ p: m.p }, { p: 0.5 }) }));
describes(nn.MaxPool2d, (m) => windows("maxPool2d", m));
describes(nn.AvgPool2d, (m) => {
  return {
    ...windows("avgPool2d", m),
    ...changed({ countIncludePad: m.countIncludePad }, { countIncludePad: true }),
  } as LayerSpec;
});
describes(nn.AdaptiveAvgPool2d, (m) => ({ type: "adaptiveAvgPool2d", size: short(m.outputSize) }) as LayerSpec);
describes(nn.Residual, residual);
describes(nn.Graph, graph);
describes(nn.Sequential, (m, path) => ({ type: "sequential", layers: listOf(m, path) }));

function layerOf(module: nn.Module, path: string): LayerSpec {
  const describe = known.get(module.constructor) as Describe<nn.Module> | undefined;
  if (describe === undefined) {
    throw new OptionError(
      `specOf: layer "${path}": expected a layer that net.json can describe, got ${module.typeName}. Save the weights alone.`,
    );
  }
  return describe(module, path);
}

function listOf(module: nn.Sequential, prefix: string): LayerSpec[] {
  return [...module.namedChildren()].map(([name, child], i) => {
    const spec = layerOf(child, prefix === "" ? name : `${prefix}.${name}`);
    return name === String(i) ? spec : { name, ...spec };
  });
}

/**
 * The list of layers that builds a network like this one: the inverse of `buildNetwork`, with the same state keys, for the
 * layers that a list can describe. What stands at its default is left out, and so are sizes of inputs.
 *
 * @param model a Sequential, or a Graph, whose state keys then begin with "graph."
 * @throws OptionError naming the layer that cannot be described: one of your own, or a BatchRenorm with limits of your own
 * @example
 * specOf(new nn.Sequential(new nn.Linear(4, 2), new nn.ReLU())); // [{ type: "linear", out: 2 }, { type: "relu" }]
 */
export function specOf(model: nn.Module): LayerSpec[] {
  if (isSequential(model)) return listOf(model, "");
  return [{ name: "graph", ...layerOf(model, "") }];
}
