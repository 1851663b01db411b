import { z } from "zod";
import type { LayerSpec, NodeSpec } from "./layer-spec.js";

/** No size that a layer can have is larger. */
const count = z.int().min(1).max(16_777_216);
const index = z.int().min(0).max(65_536);
const sizes = (one: z.ZodType<number>, axes: number) =>
  axes === 2 ? z.union([one, z.tuple([one, one])]) : z.union([one, z.tuple([one, one, one])]);
const pair = sizes(count, 2);
const share = z.number().min(0).max(1);
const eps = z.number().min(0).optional();
const flag = z.boolean().optional();
/** A key of a state dictionary is made of names with dots between them. */
const name = z.string().regex(/^[^.]{1,200}$/, "Expected a name without dots");

const norm = {
  eps,
  momentum: z.number().nullable().optional(),
  decay: z.number().optional(),
  affine: flag,
  weight: flag,
  bias: flag,
  trackRunningStats: flag,
  unbiasedRunningVar: flag,
  detachStats: flag,
  compat: z.literal("torch").optional(),
};
const rowNorm = { eps, affine: flag, shape: z.array(count).min(1).max(4).optional() };
const windows = { kernel: pair, stride: pair.optional(), padding: sizes(index, 2).optional() };

function convolution(axes: 1 | 2 | 3) {
  const size = axes === 1 ? count : sizes(count, axes);
  const places = axes === 1 ? index : sizes(index, axes);
  return {
    out: count,
    kernel: size,
    in: count.optional(),
    stride: size.optional(),
    padding: places.optional(),
    dilation: size.optional(),
    groups: count.optional(),
    bias: flag,
  };
}

const plain = ["relu", "sigmoid", "tanh", "gelu", "silu", "identity"] as const;

const layer = <T extends string, S extends z.core.$ZodShape>(type: T, shape: S) =>
  z.strictObject({ type: z.literal(type), name: name.optional(), ...shape });

const edges = z.array(z.string().min(1).max(200)).min(1);

function layerOptions() {
  return [
    layer("linear", { out: count, in: count.optional(), bias: flag }),
    layer("conv1d", convolution(1)),
    layer("conv2d", convolution(2)),
    layer("conv3d", convolution(3)),
    layer("convTranspose2d", { ...convolution(2), outputPadding: sizes(index, 2).optional() }),
    layer("stdConv2d", { ...convolution(2), eps: z.number().positive().optional() }),
    layer("batchNorm", { features: count.optional(), ...norm }),
    layer("batchRenorm", { rMax: z.number().min(1).optional(), dMax: z.number().min(0).optional(), ...norm }),
    layer("ghostBatchNorm", { ghostSize: count, ...norm }),
    layer("iterNorm", {
      groupSize: count.optional(),
      iterations: z.int().min(1).max(100).optional(),
      eps,
      momentum: z.number().optional(),
      affine: flag,
    }),
    layer("layerNorm", { ...rowNorm, bias: flag }),
    layer("rmsNorm", rowNorm),
    layer("groupNorm", { groups: count, eps, affine: flag }),
    layer("instanceNorm", { eps, affine: flag, momentum: z.number().nullable().optional(), trackRunningStats: flag }),
    z.strictObject({ type: z.enum(plain), name: name.optional() }),
    layer("flatten", { startAxis: z.int().min(1).max(4).optional() }),
    layer("leakyRelu", { slope: z.number().optional() }),
    layer("softmax", { axis: z.int().optional() }),
    layer("dropout", { p: share.optional() }),
    layer("maxPool2d", windows),
    layer("avgPool2d", { ...windows, countIncludePad: flag }),
    layer("adaptiveAvgPool2d", { size: pair }),
    layer("residual", { branch: z.array(layerSchema).min(1), shortcut: z.array(layerSchema).optional() }),
    layer("sequential", { layers: z.array(layerSchema) }),
    layer("graph", { inputs: edges, nodes: z.array(nodeSchema), outputs: edges }),
  ] as const;
}

/** A layer; see `LayerSpec`. */
export const layerSchema: z.ZodType<LayerSpec, LayerSpec> = z.lazy(() =>
  z.discriminatedUnion("type", layerOptions()),
) as z.ZodType<LayerSpec, LayerSpec>;

const nodeSchema: z.ZodType<NodeSpec, NodeSpec> = z.lazy(() =>
  z.strictObject({
    name,
    layer: z.discriminatedUnion("type", [
      ...layerOptions(),
      z.strictObject({ type: z.literal("add") }),
      z.strictObject({ type: z.literal("concat"), axis: z.int().min(1).max(4).optional() }),
    ]),
    inputs: edges,
    output: z.string().min(1).max(200).optional(),
  }),
) as z.ZodType<NodeSpec, NodeSpec>;
