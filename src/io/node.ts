/** What `evenkeel/io` is in Node: files besides bytes. */
export { readStateFile, saveSafetensors } from "./files-node.js";
export * from "./index.js";
