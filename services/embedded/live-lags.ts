import type { Priority } from "../../shared/domain/envelope.ts";

/** From publish to visible of live updates. What is bulk waits for them, which tells nothing of how fresh they are. */
export type LiveLags = {
  counted(priority: Priority, lagMs: number): void;
  /** Of those since the last call, in milliseconds. */
  take(): number[];
};

const MAX_LAGS = 20_000;

export function createLiveLags(): LiveLags {
  let lags: number[] = [];
  return {
    counted(priority, lagMs) {
      if (priority === "live" && lags.length < MAX_LAGS) lags.push(Math.max(0, lagMs));
    },
    take() {
      const taken = lags;
      lags = [];
      return taken;
    },
  };
}
