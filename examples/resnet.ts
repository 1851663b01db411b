import * as nn from "../src/nn/index.js";

/** 3 × 3 convolution that keeps the size at stride 1, then batch normalization, which takes the place of the bias. */
function convNorm(inChannels: number, outChannels: number, stride: number, kernelSize = 3): nn.Module[] {
  const padding = (kernelSize - 1) / 2;
  return [new nn.Conv2d(inChannels, outChannels, kernelSize, { stride, padding, bias: false }), new nn.BatchNorm2d(outChannels)];
}

/** Two convolutions with a way around them; where the shape changes, the way around is a 1 × 1 convolution. */
function block(inChannels: number, outChannels: number, stride: number): nn.Module[] {
  const branch = new nn.Sequential(
    ...convNorm(inChannels, outChannels, stride),
    new nn.ReLU(),
    ...convNorm(outChannels, outChannels, 1),
  );
  const sameShape = stride === 1 && inChannels === outChannels;
  const shortcut = sameShape ? null : new nn.Sequential(...convNorm(inChannels, outChannels, stride, 1));
  return [new nn.Residual(branch, shortcut), new nn.ReLU()];
}

/**
 * A residual network for small images, after He et al. 2016, section 4.2: three stages of 16, 32 and 64 channels, with
 * `blocksPerStage` blocks each, 6 · blocksPerStage + 2 layers with weights in all.
 *
 * @param blocksPerStage 1 gives ResNet-8, 2 ResNet-14, 3 ResNet-20 (default 1)
 * Shapes: [N, inChannels, H, W] → [N, classes]; H and W from 4 on, 32 for CIFAR.
 */
export function resnet({ blocksPerStage = 1, classes = 10, inChannels = 3 } = {}): nn.Sequential {
  const model = new nn.Sequential(...convNorm(inChannels, 16, 1), new nn.ReLU());
  let channels = 16;
  for (const width of [16, 32, 64]) {
    for (let i = 0; i < blocksPerStage; i++) {
      for (const module of block(channels, width, width > channels ? 2 : 1)) model.append(module);
      channels = width;
    }
  }
  return model.append(new nn.AdaptiveAvgPool2d(1)).append(new nn.Flatten()).append(new nn.Linear(channels, classes));
}
