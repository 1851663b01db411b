import { z } from "zod";
import { OptionError } from "../core/errors.js";
import type { Shape } from "../core/shape.js";
import type { Sequential } from "../nn/sequential.js";
import { checked, parseJson } from "./checked.js";
import { layerSchema } from "./layer-schema.js";
import { buildNetwork } from "./network.js";

const size = z.int().min(1).max(16_777_216);
const perChannel = z.union([z.number(), z.array(z.number()).min(1).max(4096)]);

/** What net.json holds: the architecture of a network whose weights are in another file. */
export const networkFileSchema = z.strictObject({
  /** Shape of one example: [C, H, W] or [width]. */
  input: z.array(size).min(1).max(4),
  /** Layers in order; see `LayerSpec`. */
  network: z.array(layerSchema).min(1),
  /** Names of the classes, in the order of the outputs. */
  classes: z.array(z.string()).optional(),
  /** What was done to pixels between 0 and 1 in training: (x − mean) / std, one number, or one for each channel. */
  normalize: z.strictObject({ mean: perChannel, std: perChannel }).optional(),
});

export type NetworkFile = z.infer<typeof networkFileSchema>;

/**
 * Reads the text of a net.json.
 *
 * @param file for error messages
 * @throws OptionError that names file and place
 */
export function parseNetworkFile(text: string, file = "net.json"): NetworkFile {
  const value = parseJson(text, file);
  const net = checked(networkFileSchema, value, file);
  const { normalize, input } = net;
  for (const name of ["mean", "std"] as const) {
    const given = normalize?.[name];
    if (Array.isArray(given) && given.length !== input[0])
      throw new OptionError(
        `${file}: at normalize.${name}: expected one number for each of ${input[0]} channels, got ${given.length}.`,
      );
  }
  if (normalize !== undefined && [normalize.std].flat().includes(0))
    throw new OptionError(`${file}: at normalize.std: expected numbers other than 0.`);
  return net;
}

/**
 * Builds the network of a net.json, with fresh weights.
 *
 * @returns the network, and the shape of one example behind it
 * @throws OptionError that names file and layer
 */
export function buildNetworkFile(net: NetworkFile, file = "net.json"): { module: Sequential; shape: Shape } {
  try {
    return buildNetwork(net.network, net.input);
  } catch (error) {
    if (!(error instanceof OptionError)) throw error;
    throw new OptionError(`${file}: ${error.message}`, { cause: error });
  }
}
