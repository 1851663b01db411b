// The ready-made worker of `connectTrainer`, a file of its own in dist/. It leads to the worker's side only: a bundler that
// came from here to the page's side would find this worker again.
import { serveTraining } from "./worker-host.js";

serveTraining();
