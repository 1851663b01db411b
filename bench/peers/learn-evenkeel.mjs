// evenkeel's part of the time to an accuracy.
import * as evenkeel from "../../dist/index.js";
import { build } from "./layers-evenkeel.mjs";
import { learnWith, TEST_BATCH } from "./mnist.mjs";

const { compile, nn, noGrad, optim, tensor, tidy } = evenkeel;

function learnerOf({ network, batch, lr, momentum }, seed) {
  const model = build(network, seed);
  const optimizer = new optim.SGD(model.parameters(), { lr, momentum });
  const eager = (x, target) => {
    optimizer.zeroGrad();
    const loss = nn.crossEntropy(model.call(x), target);
    loss.backward();
    optimizer.step();
    return loss;
  };
  const advance = compile ? compile(eager) : eager;
  const { backend } = model.parameters()[0];
  return {
    step: (images, labels) => {
      tidy(() => void advance(tensor(images, [batch, 1, 28, 28]), tensor(labels, [batch])));
      backend.flush();
    },
    outputs: (images) => {
      model.eval();
      const outputs = tidy(() => noGrad(() => Float32Array.from(model.call(tensor(images, [TEST_BATCH, 1, 28, 28])).data())));
      model.train();
      return outputs;
    },
    drop: () => {
      advance.dispose?.();
      for (const t of model.parameters()) t.dispose();
    },
  };
}

export const learn = learnWith(learnerOf);
