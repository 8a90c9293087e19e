import { writeFileSync } from "node:fs";

/** Figures with stable names such as `endToEnd.appliedPerSecond`, for people and for machines. */
export type Figures = {
  add(name: string, value: number, unit: string): void;
  /** Prints a table. */
  print(): void;
  writeJson(file: string): void;
};

export function createFigures(): Figures {
  const figures: Record<string, { value: number; unit: string }> = {};
  return {
    add(name, value, unit) {
      figures[name] = { value: Number(value.toPrecision(4)), unit };
      console.log(`  ${name} = ${figures[name].value} ${unit}`);
    },
    print() {
      const width = Math.max(...Object.keys(figures).map((name) => name.length));
      for (const [name, { value, unit }] of Object.entries(figures))
        console.log(`${name.padEnd(width)}  ${String(value).padStart(9)} ${unit}`);
    },
    writeJson(file) {
      writeFileSync(file, `${JSON.stringify(figures, undefined, 2)}\n`);
    },
  };
}

/** The value at a share of the sorted values, such as 0.99. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** The middle one of the sorted values, the mean of two; NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return ((sorted[Math.floor(middle)] ?? Number.NaN) + (sorted[Math.ceil(middle)] ?? Number.NaN)) / 2;
}
