import { badInARow, type Signal, type SignalName, signalInWords } from "./signal.ts";

/** The last reading of each signal of this process. */
export type SignalBoard = {
  report(signal: Signal): void;
  signals(): Signal[];
  /** Counts the bad readings of each signal from none again. */
  countAnew(): void;
};

/**
 * @param badReadings so many bad readings of one signal in a row are reason to open the breaker.
 * @param onSick is called with that reason and the signal's name, at each further bad reading too.
 */
export function createSignalBoard(
  badReadings: number,
  onSick: (reason: string, name: SignalName) => void,
): SignalBoard {
  const board = new Map<string, { signal: Signal; inARow: number }>();
  return {
    report(signal) {
      const key = `${signal.name} ${signal.partition ?? ""}`;
      const inARow = badInARow(board.get(key)?.inARow ?? 0, signal.verdict);
      board.set(key, { signal, inARow });
      if (inARow >= badReadings)
        onSick(`${signalInWords(signal)}; bad ${inARow} times in a row`, signal.name);
    },
    signals: () => Array.from(board.values(), ({ signal }) => signal),
    countAnew() {
      for (const entry of board.values()) entry.inARow = 0;
    },
  };
}
