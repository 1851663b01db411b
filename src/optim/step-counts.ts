import type { Backend } from "../engine/backend.js";
import type { Tensor } from "../tensor/tensor.js";
import { Cell } from "./cell.js";

/** Parameters with the same history, and how many updates they have had. */
export interface Cohort {
  readonly members: Set<Tensor>;
  readonly cell: Cell;
}

/**
 * How many updates each parameter has had. Parameters with the same history share a cell, as a rule all of them; one that
 * was left out of a step, for want of a gradient, has a count of its own from then on, as in PyTorch.
 */
export class StepCounts {
  private readonly of = new Map<Tensor, Cohort>();

  constructor(
    private readonly backend: Backend,
    params: readonly Tensor[],
  ) {
    this.start(params, new Cell(backend, 0));
  }

  /** Divides the parameters so that those in `active` share no cell with others; returns their cohorts. */
  separate(active: ReadonlySet<Tensor>): Cohort[] {
    for (const cohort of this.cohorts()) {
      const moving = [...cohort.members].filter((p) => active.has(p));
      if (moving.length > 0 && moving.length < cohort.members.size) this.start(moving, new Cell(this.backend, cohort.cell));
    }
    return [...new Set([...active].map((p) => this.of.get(p)!))];
  }

  /** Counts an update of every member of `cohorts`. */
  advance(cohorts: readonly Cohort[]): void {
    for (const cohort of cohorts) {
      this.backend.call("addToCell", { cell: cohort.cell.storage, amount: 1 });
    }
  }

  read(param: Tensor): number {
    return this.of.get(param)!.cell.read();
  }

  /** Sets the counts of all parameters. */
  load(counts: ReadonlyMap<Tensor, number>): void {
    const byCount = new Map<number, Tensor[]>();
    for (const [param, count] of counts) byCount.set(count, [...(byCount.get(count) ?? []), param]);
    for (const [count, params] of byCount) this.start(params, new Cell(this.backend, count));
  }

  /** Takes copies of the counts; what is returned puts them back, cohorts and cells included, and gives the copies up. */
  preserve(): () => void {
    const before = [...this.cohorts()].map((cohort) => ({
      cohort,
      members: [...cohort.members],
      copy: new Cell(this.backend, cohort.cell).keep(),
    }));
    return () => {
      const old = new Set(before.map(({ cohort }) => cohort));
      for (const cohort of this.cohorts()) if (!old.has(cohort)) cohort.cell.dispose();
      for (const { cohort, members, copy } of before) {
        for (const param of members) this.of.set(param, cohort);
        for (const param of members) cohort.members.add(param);
        this.backend.call("copyCell", { x: copy.storage, y: cohort.cell.storage });
        copy.dispose();
      }
    };
  }

  dispose(): void {
    for (const cohort of this.cohorts()) cohort.cell.dispose();
  }

  private cohorts(): Set<Cohort> {
    return new Set(this.of.values());
  }

  /** Moves `params` to a cell of their own. */
  private start(params: readonly Tensor[], cell: Cell): void {
    const cohort: Cohort = { members: new Set(params), cell: cell.keep() };
    for (const param of params) {
      const old = this.of.get(param);
      old?.members.delete(param);
      if (old?.members.size === 0) old.cell.dispose();
      this.of.set(param, cohort);
    }
  }
}
