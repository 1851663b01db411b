// The parts of evenkeel's data sets that need a file system, reached through the `node` export condition.
export { loadCifar10 } from "./cifar-node.js";
export { loadCsv } from "./csv-node.js";
export { cacheFolder } from "./files-node.js";
export { type ImageFolderOptions, loadImageFolder } from "./image-folder-node.js";
export { type LoadOptions, loadFashionMnist, loadMnist } from "./mnist-node.js";
