/**
 * How many of a process's connections to one server are attempted at once, and how long each attempt may take.
 *
 * A WebSocket upgrade occupies a thread of the broker until its producer, consumer or reader exists, also when the
 * client has left meanwhile; while none is left, it does not even answer the pings of the connections that it has.
 * So a fleet that comes back with all its connections at once takes down again what has just started: each process
 * makes them a few at a time. And clients that all give up after the same short time keep a slow broker busy with
 * work for nobody, for ever. An attempt that failed is therefore followed by a more patient one, also where it was
 * refused: a broker that has just started is slow. How patient is drawn at random, so that some of a process's
 * connections ask again soon: the first that is answered quickly shows that those who still wait do so on a dead
 * line.
 */
export type ConnectAttempts = {
  /**
   * Calls `start`, which has to call `begin` at once, when it is its turn.
   * @returns takes it back
   */
  inTurn(start: () => void): () => void;
  /**
   * @param losses how many sessions and attempts were lost since the last stable session
   * @param giveUp is told why, at most once, and never after `opened` or `over`
   */
  begin(losses: number, giveUp: (why: string) => void): ConnectAttempt;
};

export type ConnectAttempt = {
  /** The server answered. */
  opened(): void;
  /** It ended in any way; fine also after `opened`. */
  over(): void;
};

/** An answer this many times quicker than another attempt has waited shows that the other one waits in vain. */
const OVERTAKEN_FACTOR = 3;

/**
 * @param connectTimeoutMs what every attempt may take at least
 * @param maxAtOnce how many may be under way
 */
export function createConnectAttempts(
  connectTimeoutMs: number,
  maxConnectTimeoutMs: number,
  maxAtOnce: number,
): ConnectAttempts {
  const waiting = new Set<() => void>();
  const running = new Set<{ beganMs: number; giveUp(why: string): void }>();

  function giveUpOvertaken(tookMs: number): void {
    const now = performance.now();
    const longMs = Math.max(connectTimeoutMs, OVERTAKEN_FACTOR * tookMs);
    for (const { beganMs, giveUp } of [...running]) {
      if (now - beganMs >= longMs) giveUp("no answer, while another connection had its answer at once");
    }
  }

  function startNext(): void {
    for (const start of waiting) {
      if (running.size >= maxAtOnce) return;
      waiting.delete(start);
      start();
    }
  }

  return {
    inTurn(start) {
      waiting.add(start);
      // Not before the caller knows how to take it back.
      queueMicrotask(startNext);
      return () => waiting.delete(start);
    },
    begin(losses, giveUp) {
      const ceilingMs = Math.max(
        connectTimeoutMs,
        // The first after a session was lost is as brief as the very first.
        Math.min(maxConnectTimeoutMs, connectTimeoutMs * 2 ** (losses - 1)),
      );
      const timeoutMs = connectTimeoutMs + Math.random() * (ceilingMs - connectTimeoutMs);
      const attempt = {
        beganMs: performance.now(),
        giveUp(why: string) {
          over();
          giveUp(why);
        },
      };
      const timer = setTimeout(
        () => attempt.giveUp(`no answer within ${Math.round(timeoutMs)} ms`),
        timeoutMs,
      );
      running.add(attempt);

      function over(): void {
        clearTimeout(timer);
        running.delete(attempt);
        startNext();
      }
      return {
        opened() {
          over();
          giveUpOvertaken(performance.now() - attempt.beganMs);
        },
        over,
      };
    },
  };
}
