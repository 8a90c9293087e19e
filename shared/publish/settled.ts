import { KeylineError } from "../runtime/errors.ts";

/** Gets what became of something, once. */
export type Settle<Result> = (result: Result | KeylineError) => void;

/** Resolves or rejects with what becomes of it; what `begin` throws is a rejection too. */
export function settled<Result>(begin: (settle: Settle<Result>) => void): Promise<Result> {
  return new Promise((resolve, reject) =>
    begin((result) => (result instanceof KeylineError ? reject(result) : resolve(result))),
  );
}

/** Resolves once all are settled, with what became of each in their order; so is a KeylineError that `begin` throws. */
export function settledAll<Input, Result>(
  inputs: readonly Input[],
  begin: (input: Input, settle: Settle<Result>) => void,
): Promise<(Result | KeylineError)[]> {
  return new Promise((resolve) => {
    const results = new Array<Result | KeylineError>(inputs.length);
    let left = inputs.length;
    if (left === 0) resolve(results);
    for (const [index, input] of inputs.entries()) {
      const settle = (result: Result | KeylineError) => {
        results[index] = result;
        left -= 1;
        if (left === 0) resolve(results);
      };
      try {
        begin(input, settle);
      } catch (error) {
        if (!(error instanceof KeylineError)) throw error;
        settle(error);
      }
    }
  });
}

/** How many are under way. */
export type UnderWay = {
  count(): number;
  begin(): void;
  end(): void;
  /** Resolves when none is. */
  idle(): Promise<void>;
};

export function createUnderWay(): UnderWay {
  let count = 0;
  let waiting: (() => void)[] = [];
  return {
    count: () => count,
    begin() {
      count += 1;
    },
    end() {
      count -= 1;
      if (count > 0) return;
      for (const resolve of waiting) resolve();
      waiting = [];
    },
    idle: () => (count === 0 ? Promise.resolve() : new Promise((resolve) => waiting.push(resolve))),
  };
}
