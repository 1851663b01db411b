import { formatShape } from "../core/shape.js";
import * as nn from "../nn/index.js";
import type { Built, Place, Shape } from "./build-place.js";
import type { LayerSpec, NodeSpec, Spec } from "./layer-spec.js";

/** Builds one layer; handed in, since the layers of a graph may be graphs. */
type BuildLayer = (spec: LayerSpec, shape: Shape, place: Place) => Built;

function join(node: NodeSpec, shapes: readonly Shape[], place: Place): Built {
  const { layer } = node;
  const [first, ...others] = shapes as [Shape, ...Shape[]];
  if (layer.type === "add") {
    const other = others.find((shape) => formatShape(shape) !== formatShape(first));
    if (other !== undefined) place.fail(`add expects inputs of one shape, got ${formatShape(first)} and ${formatShape(other)}.`);
    return { module: new nn.Add(), shape: first };
  }
  const { axis = 1 } = layer as { axis?: number };
  const rest = (shape: Shape) => formatShape(shape.map((n, i) => (i === axis - 1 ? 0 : n)));
  if (axis > first.length) place.fail(`concat expects an axis of [N, ${first.join(", ")}] after the first, got ${axis}.`);
  const other = others.find((shape) => rest(shape) !== rest(first));
  if (other !== undefined)
    place.fail(`concat expects inputs that differ along axis ${axis} only, got ${formatShape(first)} and ${formatShape(other)}.`);
  const length = shapes.reduce((sum, shape) => sum + shape[axis - 1]!, 0);
  return { module: new nn.Concat(axis), shape: first.map((n, i) => (i === axis - 1 ? length : n)) };
}

/** A graph of one input. */
export function graph({ inputs, nodes, outputs }: Spec<"graph">, shape: Shape, place: Place, buildLayer: BuildLayer): Built {
  if (inputs.length !== 1) place.fail(`graph expects one input in a list of layers, got ${inputs.length}.`);
  const shapes = new Map<string, Shape>([[inputs[0]!, shape]]);
  const built = nodes.map((node, i) => {
    const here = place.at(`.nodes[${i}]`);
    const seen = node.inputs.map(
      (edge) =>
        shapes.get(edge) ?? here.fail(`needs the edge ${JSON.stringify(edge)}, which no input and no node before it gives.`),
    );
    const { layer } = node;
    const isJoin = layer.type === "add" || layer.type === "concat";
    if (!isJoin && seen.length !== 1) here.fail(`${layer.type} expects one input, got ${seen.length}.`);
    const result = isJoin ? join(node, seen, here) : buildLayer(layer, seen[0]!, here.at(".layer"));
    shapes.set(node.output ?? node.name, result.shape);
    return { ...node, module: result.module };
  });
  const after = shapes.get(outputs[0]!) ?? place.fail(`needs the output ${JSON.stringify(outputs[0])}, which no node gives.`);
  const module = new nn.Graph({ inputs, nodes: built.map(({ layer: _, ...node }) => node), outputs });
  return { module, shape: after };
}
