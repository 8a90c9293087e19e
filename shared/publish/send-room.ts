import type { Path } from "../ports/update-queue.ts";
import { createAdaptiveLimit } from "../runtime/adaptive-limit.ts";
import { toError } from "../runtime/errors.ts";
import { createFifo } from "../runtime/fifo.ts";
import { createBackgroundLimit } from "./background-limit.ts";

/** What becomes of what is sent: `begin` may throw, and `over` is called once, whatever it comes to. */
export type Steps<T> = {
  begin(item: T): Promise<void>;
  over(item: T, error?: Error): void;
};

/** Where it waits for its turn. */
export type Room<T> = (item: T) => void;

export type RoomOptions = {
  path: Path;
  /** Messages of the broker without an answer at once, at each queue. */
  maxPending: number;
  /** Given where these make way for others who send there: what a send may take longer for them. */
  targetDelayMs?: number | undefined;
};

export function openRoom<T>({ path, maxPending, targetDelayMs }: RoomOptions, steps: Steps<T>): Room<T> {
  if (targetDelayMs !== undefined)
    return limitedRoom(createBackgroundLimit(maxPending, targetDelayMs), steps);
  if (path === "sqs") return limitedRoom(createAdaptiveLimit(maxPending), steps);
  return fixedRoom(maxPending, steps);
}

function limitedRoom<T>(
  limit: (work: () => Promise<void>) => Promise<void>,
  { begin, over }: Steps<T>,
): Room<T> {
  return (item) => {
    limit(async () => begin(item)).then(
      () => over(item),
      (error: unknown) => over(item, toError(error)),
    );
  };
}

/** In the order of their coming. The promises that a library's limit makes for each cost more than the send itself. */
function fixedRoom<T>(max: number, { begin, over }: Steps<T>): Room<T> {
  const waiting = createFifo<T>();
  let underWay = 0;

  function start(item: T): void {
    let answer: Promise<void>;
    try {
      answer = begin(item);
    } catch (error) {
      over(item, toError(error));
      return;
    }
    underWay += 1;
    answer.then(
      () => leave(item),
      (error: unknown) => leave(item, toError(error)),
    );
  }

  function leave(item: T, error?: Error): void {
    underWay -= 1;
    while (underWay < max && waiting.size() > 0) start(waiting.shift()!);
    over(item, error);
  }

  return (item) => {
    if (underWay < max && waiting.size() === 0) start(item);
    else waiting.push(item);
  };
}
