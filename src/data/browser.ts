// What `#data-files` is in a browser: there are no files to read.
import { DataError } from "../core/errors.js";

function unavailable(name: string): () => Promise<never> {
  return async () => {
    throw new DataError(
      `${name}: files can be read in Node only; in a browser fetch them and use imagesFromIdx or imagesFromCifar10.`,
    );
  };
}

export const loadMnist = unavailable("loadMnist");
export const loadFashionMnist = unavailable("loadFashionMnist");
export const loadCifar10 = unavailable("loadCifar10");
export const loadImageFolder = unavailable("loadImageFolder");
export const loadCsv = unavailable("loadCsv");
