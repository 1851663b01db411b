import { OptionError } from "../core/errors.js";
import type { Module } from "../nn/index.js";

/** Modules that were put in the place of others, which can be taken back. */
export class Replacements {
  private readonly done: { parent: Module; name: string; old: Module }[] = [];

  constructor(
    private readonly who: string,
    private readonly model: Module,
  ) {}

  /** Puts `next` wherever `old` stands in the model, in the same mode. */
  replace(old: Module, next: Module): void {
    next.train(old.training);
    let count = 0;
    for (const parent of this.model.modules()) {
      for (const [name, child] of parent.namedChildren()) {
        if (child !== old) continue;
        parent.replaceChild(name, next);
        this.done.push({ parent, name, old });
        count++;
      }
    }
    if (count === 0) {
      throw new OptionError(
        `${this.who}: expected layers inside a model, got ${old.typeName} by itself: put it into a Sequential.`,
      );
    }
  }

  /** Puts all old modules back. */
  undo(): void {
    for (const { parent, name, old } of this.done.splice(0).reverse()) parent.replaceChild(name, old);
  }
}
