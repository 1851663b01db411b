/** Mean and variance of each channel over any number of parts of any size, in float64. */
export class PooledMoments {
  /** Values per channel so far. */
  count = 0;
  readonly mean: Float64Array;
  /** Sum of squared distances from the mean. */
  private readonly squares: Float64Array;

  constructor(readonly channels: number) {
    this.mean = new Float64Array(channels);
    this.squares = new Float64Array(channels);
  }

  /**
   * Adds a part of `count` values per channel.
   *
   * @param moments [3, C] as `channelMoments` gives them: mean, what rounding took from it, biased variance
   * @see Chan, Golub & LeVeque 1979, "Updating formulae and a pairwise algorithm for computing sample variances", equation 2.1
   */
  add(count: number, moments: ArrayLike<number>): void {
    if (count === 0) return;
    const { channels: c, mean, squares } = this;
    const total = this.count + count;
    for (let k = 0; k < c; k++) {
      const distance = moments[k]! + moments[c + k]! - mean[k]!;
      mean[k] = mean[k]! + (distance * count) / total;
      squares[k] = squares[k]! + moments[2 * c + k]! * count + (distance * distance * this.count * count) / total;
    }
    this.count = total;
  }

  /** Variance of each channel: over n, or over n − 1 if unbiased. */
  variance(unbiased: boolean): Float64Array {
    const divisor = unbiased ? this.count - 1 : this.count;
    return this.squares.map((sum) => sum / divisor);
  }
}
