import { formatShape, sizeOf } from "../core/shape.js";
import * as nn from "../nn/index.js";
import { type Built, given, type Place, type Shape } from "./build-place.js";
import type { LayerSpec, Spec } from "./layer-spec.js";

/** Channels of an example, which normalization over channels needs. */
function channelsOf(type: string, shape: Shape, least: number, place: Place): number {
  if (shape.length < least || shape.length > 4) {
    place.fail(`${type} needs ${least} to 4 axes per example, got ${formatShape(shape)}.`);
  }
  return shape[0]!;
}

function batchNorm({ type, name: _, features, ...options }: Spec<"batchNorm">, shape: Shape, place: Place): Built {
  const channels = channelsOf(type, shape, 1, place);
  if (features !== undefined && features !== channels) place.fail(`batchNorm expects features = ${channels}, got ${features}.`);
  const Layer = [nn.BatchNorm1d, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d][shape.length - 1]!;
  return { module: new Layer(channels, given(options)), shape };
}

function instanceNorm({ type, name: _, ...options }: Spec<"instanceNorm">, shape: Shape, place: Place): Built {
  const channels = channelsOf(type, shape, 2, place);
  const Layer = [nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d][shape.length - 2]!;
  return { module: new Layer(channels, given(options)), shape };
}

function groupNorm({ type, name: _, groups, ...options }: Spec<"groupNorm">, shape: Shape, place: Place): Built {
  const channels = channelsOf(type, shape, 1, place);
  if (channels % groups !== 0) place.fail(`groupNorm expects groups that divide the ${channels} channels, got ${groups}.`);
  return { module: new nn.GroupNorm(groups, channels, given(options)), shape };
}

function iterNorm({ type, name: _, ...options }: Spec<"iterNorm">, shape: Shape, place: Place): Built {
  const channels = channelsOf(type, shape, 1, place);
  const { groupSize = 1 } = options;
  if (channels % groupSize !== 0)
    place.fail(`iterNorm expects a groupSize that divides the ${channels} channels, got ${groupSize}.`);
  place.spend(channels * (options.groupSize ?? 64));
  return { module: new nn.IterNorm(channels, given(options)), shape };
}

/** The axes over which is normalized: all of an example, or the last that are given. */
function rowShape(type: string, given: readonly number[] | undefined, shape: Shape, place: Place): Shape {
  const axes = given ?? shape;
  if (formatShape(axes) !== formatShape(shape.slice(shape.length - axes.length)))
    place.fail(`${type} expects a shape that ${formatShape(shape)} ends with, got ${formatShape(axes)}.`);
  place.spend(sizeOf(axes));
  return axes;
}

function layerNorm({ type, eps, affine, bias, shape: own }: Spec<"layerNorm">, shape: Shape, place: Place): Built {
  const options = given({ eps, elementwiseAffine: affine, bias });
  return { module: new nn.LayerNorm(rowShape(type, own, shape, place), options), shape };
}

function rmsNorm({ type, eps, affine, shape: own }: Spec<"rmsNorm">, shape: Shape, place: Place): Built {
  const options = given({ eps, elementwiseAffine: affine });
  return { module: new nn.RMSNorm(rowShape(type, own, shape, place), options), shape };
}

export const norms = {
  batchNorm,
  batchRenorm: ({ type, name: _, ...options }: Spec<"batchRenorm">, shape: Shape, place: Place): Built => {
    return { module: new nn.BatchRenorm(channelsOf(type, shape, 1, place), given(options)), shape };
  },
  ghostBatchNorm: ({ type, name: _, ghostSize, ...options }: Spec<"ghostBatchNorm">, shape: Shape, place: Place): Built => {
    return { module: new nn.GhostBatchNorm(channelsOf(type, shape, 1, place), ghostSize, given(options)), shape };
  },
  iterNorm,
  layerNorm,
  rmsNorm,
  groupNorm,
  instanceNorm,
} satisfies { readonly [T in LayerSpec["type"]]?: (spec: Spec<T>, shape: Shape, place: Place) => Built };
