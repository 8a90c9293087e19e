/** Clients of a gateway that send more than it takes, and come again at once whatever they are told. */
import { Agent, request } from "node:http";

export type FloodOptions = {
  urls: readonly string[];
  writeKey: string;
  /** Each has users of its own, and sends its next batch once the one before was taken. */
  clients: number;
  /** Updates in a batch, each of another user. */
  batchSize: number;
  /**
   * No new batch begins after that, where more were refused by then than are taken in the end, and after a minute
   * anyhow; those that were begun are sent until they are taken.
   */
  forMs: number;
};

export type Flood = {
  /** Batches that were taken, by client. */
  taken: number[];
  /** Answers by status. */
  answers: Record<number, number>;
};

const MAX_MS = 60_000;

/** Each batch adds one point to each of its client's users, `c<client>-<index>`. */
export async function flood({ urls, writeKey, clients, batchSize, forMs }: FloodOptions): Promise<Flood> {
  const agent = new Agent({ keepAlive: true, maxSockets: clients });
  const startedAtMs = performance.now();
  const answers: Record<number, number> = {};

  /** How soon most are refused is the machine's speed. Each client has one batch more to be taken at most. */
  function goesOn(): boolean {
    const elapsedMs = performance.now() - startedAtMs;
    const refused = answers[503] ?? 0;
    return elapsedMs < forMs || (elapsedMs < MAX_MS && refused <= (answers[200] ?? 0) + clients);
  }

  async function run(client: number): Promise<number> {
    let taken = 0;
    for (; goesOn(); taken += 1) {
      const body = batch(client, taken, batchSize);
      let status = 0;
      for (let tries = 0; status !== 200; tries += 1) {
        status = await post(`${urls[(client + tries) % urls.length]}/v1/updates`, { agent, writeKey, body });
        answers[status] = (answers[status] ?? 0) + 1;
      }
    }
    return taken;
  }

  const taken = await Promise.all(Array.from({ length: clients }, (_, client) => run(client)));
  agent.destroy();
  return { taken, answers };
}

/** The same again has the same ids. */
function batch(client: number, number: number, size: number): string {
  const updates = Array.from({ length: size }, (_, index) => ({
    userId: `c${client}-${index}`,
    id: `${client}-${number}-${index}`,
    ops: [{ kind: "increment", body: { points: 1 } }],
  }));
  return JSON.stringify({ updates });
}

/** The status; 0 where the line broke. */
function post(url: string, options: { agent: Agent; writeKey: string; body: string }): Promise<number> {
  const { agent, writeKey, body } = options;
  return new Promise((resolve) => {
    const call = request(url, {
      agent,
      method: "POST",
      headers: {
        authorization: `Bearer ${writeKey}`,
        "content-type": "application/json",
        "content-length": Buffer.byteLength(body),
      },
    });
    call.on("response", (response) => {
      response.resume();
      response.on("end", () => resolve(response.statusCode ?? 0));
    });
    call.on("error", () => resolve(0));
    call.end(body);
  });
}
