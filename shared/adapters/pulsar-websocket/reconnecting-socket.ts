import type { Socket } from "node:net";
import WebSocket from "ws";
import { KeylineError } from "../../runtime/errors.ts";
import type { Endpoint } from "./endpoint.ts";
import { shortFrame } from "./short-frame.ts";

/**
 * A WebSocket that comes back by itself: connecting -> open -> (lost) waiting -> connecting ... -> closed.
 * Each time it opens there is a new session; what was sent or received in an earlier one means nothing to it.
 */
export type ReconnectingSocket = {
  /** The open session, undefined while there is none. */
  session(): Session | undefined;
  /** Why there is no session. */
  problem(): KeylineError | undefined;
  /** Says goodbye after what was sent before has left. */
  close(): Promise<void>;
};

export type Session = {
  /** Sends one text frame; frames of one turn of the event loop leave in one write. */
  send(text: string): void;
  /**
   * Sends one frame of ASCII text within 2 ms, together with others: for what nobody waits for. Not in order with
   * what `send` sends.
   */
  sendLater(text: string): void;
  /** Sends at once what was to be sent later. */
  flush(): void;
  /** Ends this session, for an error after which it can't be trusted; another one follows. */
  abandon(why: string): void;
};

export type SocketHandlers = {
  onOpen(session: Session): void;
  onMessage(data: Buffer, session: Session): void;
  onLost(session: Session, problem: KeylineError): void;
};

type State =
  | { kind: "connecting"; socket: WebSocket }
  | { kind: "open"; socket: WebSocket; session: Session }
  | { kind: "waiting"; cancel: () => void }
  | { kind: "closed" };

/** Whether anything at all came from the server since the last ping. */
type Pulse = { heard: boolean };

/** A write to the socket costs as much as reading ten messages; so acknowledgements leave in company. */
const MAX_SEND_DELAY_MS = 2;

/** With one missed ping more than this, the connection is dead: nothing came for two to three intervals. */
const MAX_MISSED_PINGS = 1;

export function openReconnectingSocket(
  endpoint: Endpoint,
  url: string,
  handlers: SocketHandlers,
): ReconnectingSocket {
  let state: State;
  let losses = 0;
  let problem: KeylineError | undefined;
  connectInTurn();

  function connectInTurn(): void {
    state = { kind: "waiting", cancel: endpoint.attempts.inTurn(losses, connect) };
  }

  function problemOf(why: string): KeylineError {
    return new KeylineError("queue_not_connected", `${new URL(url).host}: ${why}`, { retryable: true });
  }

  function connect(): void {
    const socket = newSocket(endpoint, url);
    state = { kind: "connecting", socket };
    let session: Session | undefined;
    const pulse: Pulse = { heard: true };
    let why: string | undefined;
    const abandon = (reason: string) => {
      why ??= reason;
      socket.terminate();
    };
    const attempt = endpoint.attempts.begin(losses, abandon);
    socket.on("error", (error) => {
      why ??= error.message;
    });
    socket.on("upgrade", (response) => {
      session = newSession(socket, response.socket, abandon);
    });
    socket.on("open", () => {
      if (session === undefined) throw new Error("a WebSocket opened without an upgrade");
      state = { kind: "open", socket, session };
      problem = undefined;
      attempt.opened();
      watch(socket, endpoint.pingIntervalMs, session, pulse, () => {
        losses = 0;
      });
      handlers.onOpen(session);
    });
    socket.on("message", (data) => {
      pulse.heard = true;
      handlers.onMessage(data as Buffer, session!);
    });
    socket.once("close", (code, reason) => {
      attempt.over();
      if (state.kind === "closed") return;
      why ??= "the server closed the connection";
      const detail = reason.length > 0 ? `${why} (${code}: ${reason.toString()})` : why;
      lost(state.kind === "open" ? state.session : undefined, detail);
    });
  }

  function lost(session: Session | undefined, why: string): void {
    const ceilingMs = Math.min(endpoint.maxBackoffMs, endpoint.minBackoffMs * 2 ** losses);
    losses += 1;
    // At random, so that a fleet does not come back in one moment ("full jitter", AWS Architecture Blog, 2015).
    const timer = setTimeout(connectInTurn, ceilingMs * Math.random());
    state = { kind: "waiting", cancel: () => clearTimeout(timer) };
    problem = problemOf(why);
    endpoint.onConnectionProblem(problem);
    if (session !== undefined) handlers.onLost(session, problem);
  }

  return {
    session: () => (state.kind === "open" ? state.session : undefined),
    problem: () =>
      problem ?? (state.kind === "waiting" ? problemOf("waits for other connections to be made") : undefined),
    async close() {
      const last = state;
      state = { kind: "closed" };
      if (last.kind === "waiting") last.cancel();
      if (last.kind === "open") last.session.flush();
      if (last.kind === "connecting" || last.kind === "open") await goodbye(last.socket);
    },
  };
}

function newSocket(endpoint: Endpoint, url: string): WebSocket {
  // The types of ws do not know `closeTimeout` yet.
  const options: WebSocket.ClientOptions & { closeTimeout: number } = {
    headers: endpoint.token === undefined ? {} : { Authorization: `Bearer ${endpoint.token}` },
    closeTimeout: endpoint.closeTimeoutMs,
    maxPayload: endpoint.maxReceivedFrameBytes,
    perMessageDeflate: false,
    skipUTF8Validation: true,
    allowSynchronousEvents: true,
    // Masking guards proxies from scripts in browsers that choose the bytes; here it would only cost time.
    generateMask: (mask) => {
      mask.fill(0);
    },
  };
  return new WebSocket(url, options);
}

function newSession(socket: WebSocket, stream: Socket, abandon: (why: string) => void): Session {
  let corked = false;
  let later = "";
  let timer: NodeJS.Timeout | undefined;
  socket.once("close", () => clearTimeout(timer));

  function flush(): void {
    clearTimeout(timer);
    timer = undefined;
    if (later !== "" && socket.readyState === WebSocket.OPEN) stream.write(later, "latin1");
    later = "";
  }

  return {
    send(text) {
      if (!corked) {
        corked = true;
        stream.cork();
        process.nextTick(() => {
          corked = false;
          flush();
          stream.uncork();
        });
      }
      socket.send(text);
    },
    sendLater(text) {
      const frame = shortFrame(text);
      if (frame === undefined) {
        socket.send(text);
        return;
      }
      later += frame;
      timer ??= setTimeout(flush, MAX_SEND_DELAY_MS);
    },
    flush,
    abandon,
  };
}

/**
 * Pings, and abandons the session when nothing at all came back for more than two intervals. Counts ticks and
 * not time: a process that was itself stopped for a while must not take that for a dead connection.
 *
 * @param onStable is told of each ping's answer: an open session alone may be one that a busy server soon drops
 */
function watch(
  socket: WebSocket,
  pingIntervalMs: number,
  session: Session,
  pulse: Pulse,
  onStable: () => void,
): void {
  let missedPings = 0;
  socket.on("pong", () => {
    pulse.heard = true;
    onStable();
  });
  const heartbeat = setInterval(() => {
    missedPings = pulse.heard ? 0 : missedPings + 1;
    pulse.heard = false;
    if (missedPings > MAX_MISSED_PINGS) session.abandon(`no sign of life for ${missedPings} pings`);
    else socket.ping();
  }, pingIntervalMs);
  socket.once("close", () => clearInterval(heartbeat));
}

function goodbye(socket: WebSocket): Promise<void> {
  if (socket.readyState === WebSocket.CLOSED) return Promise.resolve();
  return new Promise((resolve) => {
    socket.once("close", () => resolve());
    socket.close();
  });
}
