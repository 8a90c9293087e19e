/**
 * How many of a process's connections to one server are attempted at once, and how long each attempt may take.
 *
 * A WebSocket upgrade occupies a thread of the broker until its producer, consumer or reader exists, also when the
 * client has left meanwhile; while none is left, it does not even answer the pings of the connections that it has.
 * So a fleet that comes back with all its connections at once takes down again what has just started: each process
 * makes them a few at a time. And clients that all give up after the same short time keep a slow broker busy with
 * work for nobody, for ever. An attempt that failed is therefore followed by a more patient one, also where it was
 * refused: a broker that has just started is slow. How patient is drawn at random, and of several one is never very
 * patient, so that some of a process's connections ask again soon: the first that is answered quickly shows that those
 * who still wait do so on a dead line.
 *
 * First attempts have room of their own: a partition that nobody can connect to keeps none from the others.
 */
export type ConnectAttempts = {
  /**
   * Calls `start`, which has to call `begin` with the same `losses` at once, when it is its turn.
   * @returns takes it back
   */
  inTurn(losses: number, start: () => void): () => void;
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

type Running = { beganMs: number; isScout: boolean; giveUp(why: string): void };

/** First attempts, or repeated ones: those that wait for their turn, and those under way. */
type Lane = { waiting: Set<() => void>; running: Set<Running> };

/** An answer this many times quicker than another attempt has waited shows that the other one waits in vain. */
const OVERTAKEN_FACTOR = 3;

/** Of the connect timeout: how long the one may take that is never very patient. */
const SCOUT_FACTOR = 4;

/**
 * @param connectTimeoutMs what every attempt may take at least
 * @param maxAtOnce how many first attempts may be under way, and as many repeated ones
 */
export function createConnectAttempts(
  connectTimeoutMs: number,
  maxConnectTimeoutMs: number,
  maxAtOnce: number,
): ConnectAttempts {
  const first: Lane = { waiting: new Set(), running: new Set() };
  const repeated: Lane = { waiting: new Set(), running: new Set() };
  // What follows the loss of a session is a first one too.
  const laneOf = (losses: number) => (losses <= 1 ? first : repeated);

  function giveUpOvertaken(tookMs: number): void {
    const now = performance.now();
    const longMs = Math.max(connectTimeoutMs, OVERTAKEN_FACTOR * tookMs);
    for (const { beganMs, giveUp } of [...first.running, ...repeated.running]) {
      if (now - beganMs >= longMs) giveUp("no answer, while another connection had its answer at once");
    }
  }

  function startNext({ waiting, running }: Lane): void {
    for (const start of waiting) {
      if (running.size >= maxAtOnce) return;
      waiting.delete(start);
      start();
    }
  }

  function drawTimeoutMs(losses: number, isScout: boolean): number {
    const longestMs = Math.min(maxConnectTimeoutMs, connectTimeoutMs * 2 ** (losses - 1));
    const ceilingMs = isScout ? Math.min(longestMs, SCOUT_FACTOR * connectTimeoutMs) : longestMs;
    return connectTimeoutMs + Math.random() * Math.max(0, ceilingMs - connectTimeoutMs);
  }

  return {
    inTurn(losses, start) {
      const lane = laneOf(losses);
      lane.waiting.add(start);
      // Not before the caller knows how to take it back.
      queueMicrotask(() => startNext(lane));
      return () => lane.waiting.delete(start);
    },
    begin(losses, giveUp) {
      const lane = laneOf(losses);
      const { running } = lane;
      const attempt: Running = {
        beganMs: performance.now(),
        isScout: running.size > 0 && ![...running].some(({ isScout }) => isScout),
        giveUp(why) {
          over();
          giveUp(why);
        },
      };
      const timeoutMs = drawTimeoutMs(losses, attempt.isScout);
      const timer = setTimeout(
        () => attempt.giveUp(`no answer within ${Math.round(timeoutMs)} ms`),
        timeoutMs,
      );
      running.add(attempt);

      function over(): void {
        clearTimeout(timer);
        running.delete(attempt);
        startNext(lane);
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
