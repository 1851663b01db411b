// The parts of evenkeel's data sets that run anywhere. What needs a file system is in node.ts.
export { cifar10Classes, imagesFromCifar10 } from "./cifar.js";
export { type TableOptions, tableFromCsv } from "./csv.js";
export { checkSet, type DataSet, type ImageSet, isImageSet, type TableSet } from "./dataset.js";
export { loadCifar10, loadCsv, loadFashionMnist, loadImageFolder, loadMnist } from "./files.js";
export { gunzip } from "./gzip.js";
export { encodeIdx, type IdxArray, type IdxImageFiles, imagesFromIdx, parseIdx } from "./idx.js";
export { DataLoader, type LoaderOptions } from "./loader.js";
export { releaseSet } from "./resident.js";
export { allIndices, balancedSubset, type Indices, take, trainValidationSplit } from "./split.js";
export { blobs, type SyntheticOptions, spirals, twoMoons } from "./synthetic.js";
export { readTar } from "./tar.js";
