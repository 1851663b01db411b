export { heapBase, run, serve, setup } from "./runtime";
