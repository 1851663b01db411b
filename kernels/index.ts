export { heapBase, run, runAlone, serve, setup } from "./runtime";
