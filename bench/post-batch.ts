import { type Agent, request } from "node:http";

export type MeasuredServer = { url: string; writeKey: string };

/** @returns the status of the answer, once all of it is here. */
export function postBatch(
  { url, writeKey }: MeasuredServer,
  { agent, body }: { agent: Agent; body: Buffer },
): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = {
      "content-type": "application/json",
      "content-length": body.length,
      authorization: `Basic ${Buffer.from(`${writeKey}:`).toString("base64")}`,
    };
    const outgoing = request(`${url}/v1/batch`, { method: "POST", agent, headers }, (response) => {
      response.resume().once("end", () => resolve(response.statusCode!));
    });
    outgoing.once("error", reject);
    outgoing.end(body);
  });
}
