import { OptionError } from "../core/errors.js";
import type { Module } from "../nn/module.js";
import { Optimizer } from "../optim/optimizer.js";
import { tidy } from "../tensor/scope.js";
import type { Tensor } from "../tensor/tensor.js";
import { layersOf } from "./layers.js";
import { LossSurface, preserving } from "./measure.js";
import type { Snapshot } from "./snapshot.js";
import { cosineOf, normOf, Packing } from "./vectors.js";

/** How the gradient of a layer changes because the layers before it are updated. */
export interface LayerShift {
  /** Path of the layer in the model. */
  name: string;
  /** Number of its values that are trained. */
  size: number;
  /** |G|. */
  gradientNorm: number;
  /** |G − G'|: the internal covariate shift of definition 2.1. */
  l2: number;
  /** |G − G'| / |G|; not finite where G is 0. */
  relative: number;
  /** Cosine of the angle between G and G'; NaN where one of them is 0. */
  cosine: number;
}

export interface LayerShiftOptions {
  /** Names of the layers to report (default: all). Each but the first costs a forward and a backward pass. */
  layers?: readonly string[];
}

/**
 * An optimizer, whose next step it is; a learning rate, for plain gradient descent; or a function that changes the parameters in
 * place by their `grad`, and leaves alone whatever else it uses.
 */
export type ShiftUpdate = Optimizer | number | (() => void);

/**
 * The internal covariate shift of each layer as a change of gradients: G is the gradient of the loss towards the layer's
 * parameters, G' the same after the layers before it have been updated by the step that the gradients of all layers call for.
 * Both are of the same batch, with the same random numbers (dropout masks). Were layers independent, G' would be G.
 *
 * Layers are the modules with parameters of their own, a normalization's γ and β included, in order of declaration; the first
 * has nothing before it, so its G' is G. Parameters, gradients, buffers, modes, random numbers and the optimizer are afterwards
 * what they were, bit for bit.
 *
 * Cost: one forward and backward pass for each layer that is reported; memory for four more copies of the parameters, and one of
 * the optimizer's state.
 *
 * @param loss computes the loss of one batch by the model, without calling `backward`
 * @throws OptionError if a layer asked for is not there; ShapeError, GradientError if the loss is no single value that depends on
 * parameters; RecordingError in a recorded step
 * @example
 * layerShift(model, () => nn.crossEntropy(model.call(x), labels), optimizer).map(({ name, cosine }) => [name, cosine]);
 * @see Santurkar, Tsipras, Ilyas & Mądry 2018, "How does batch normalization help optimization?", definition 2.1
 */
export function layerShift(
  model: Module,
  loss: () => Tensor,
  update: ShiftUpdate,
  { layers: wanted }: LayerShiftOptions = {},
): LayerShift[] {
  const measured = (state: Snapshot) => {
    const layers = trainedLayers(model);
    checkNames(layers, wanted);
    const surface = new LossSurface("layerShift", model, loss, state);
    const start = surface.packing.read();
    const gradients = surface.gradients();
    const gradient = surface.packing.pack(gradients);
    const after = updated(surface, gradients, update);
    surface.packing.write(start);
    return layers.flatMap((layer, i) => {
      const isWanted = wanted?.includes(layer.name) ?? true;
      const shift = isWanted ? tidy(() => shiftOf(layer, gradient, i === 0 ? gradient : surface.gradient().gradient)) : [];
      copyRange(after, layer);
      return shift;
    });
  };
  return preserving("layerShift", model, measured, update instanceof Optimizer ? update.parameters() : []);
}

/** A layer and where its parameters lie in the vector of all. */
interface TrainedLayer {
  readonly name: string;
  readonly packing: Packing;
  readonly start: number;
}

function trainedLayers(model: Module): TrainedLayer[] {
  let start = 0;
  return layersOf(model).flatMap(({ name, parameters }) => {
    const trained = [...parameters.values()].filter((p) => p.requiresGrad);
    if (trained.length === 0) return [];
    const layer = { name, packing: new Packing(trained), start };
    start += layer.packing.size;
    return [layer];
  });
}

function checkNames(layers: readonly TrainedLayer[], wanted: readonly string[] | undefined): void {
  const wrong = wanted?.find((name) => !layers.some((layer) => layer.name === name));
  if (wrong === undefined) return;
  const names = layers.map(({ name }) => JSON.stringify(name)).join(", ");
  throw new OptionError(`layerShift: expected names of layers that are trained (${names}), got ${JSON.stringify(wrong)}.`);
}

/** The parameters after the step that `gradients` call for, as one vector. */
function updated({ parameters, packing }: LossSurface, gradients: readonly (Tensor | null)[], update: ShiftUpdate): Tensor {
  const gradient = packing.pack(gradients);
  if (typeof update === "number") return packing.read().sub(gradient.mul(update));
  // Memory of their own for each, as after `backward`: a function may clip them in place.
  const own = packing.unpack(gradient);
  [...parameters.values()].forEach((p, i) => {
    p.grad = gradients[i] === null ? null : own[i]!;
  });
  if (update instanceof Optimizer) stepOnTrial(update);
  else update();
  return packing.read();
}

function stepOnTrial(optimizer: Optimizer): void {
  const takeBack = optimizer.preserve();
  try {
    optimizer.step();
  } finally {
    takeBack();
  }
}

const rangeOf = (vector: Tensor, { start, packing }: TrainedLayer): Tensor => vector.slice(0, start, start + packing.size);

function copyRange(values: Tensor, layer: TrainedLayer): void {
  tidy(() => layer.packing.write(rangeOf(values, layer)));
}

function shiftOf(layer: TrainedLayer, before: Tensor, after: Tensor): LayerShift {
  const [g, h] = [rangeOf(before, layer), rangeOf(after, layer)];
  const gradientNorm = normOf([g]);
  const l2 = normOf([g.sub(h)]);
  const { name, packing } = layer;
  return { name, size: packing.size, gradientNorm, l2, relative: l2 / gradientNorm, cosine: cosineOf(g, h) };
}
