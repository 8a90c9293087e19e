import type { Operation } from "../../../shared/domain/envelope.ts";

/** What is dropped of an operation: some names, or all of it. */
export type Dropped = Set<string> | "whole";

/** The operations without what is dropped of them, by their place; one that is left empty goes away. */
export function withoutDropped(
  ops: readonly Operation[],
  drops: ReadonlyMap<number, Dropped>,
): readonly Operation[] {
  return ops.flatMap((op, index) => {
    const dropped = drops.get(index);
    if (dropped === undefined) return [op];
    return dropped === "whole" ? [] : without(op, dropped);
  });
}

function without(op: Operation, names: ReadonlySet<string>): Operation[] {
  switch (op.kind) {
    case "event": {
      // An event without properties has happened all the same.
      const properties = others(op.body.properties ?? {}, names);
      return [{ ...op, body: { ...op.body, properties } }];
    }
    case "unset": {
      const body = op.body.filter((name) => !names.has(name));
      return body.length === 0 ? [] : [{ ...op, body }];
    }
    default: {
      const body = others(op.body, names);
      return Object.keys(body).length === 0 ? [] : [{ ...op, body } as Operation];
    }
  }
}

function others(fields: object, names: ReadonlySet<string>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([name]) => !names.has(name)));
}
