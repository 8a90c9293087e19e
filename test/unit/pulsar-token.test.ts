import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { setUpPulsar } from "../../shared/adapters/open.ts";
import { createLog } from "../../shared/runtime/log.ts";

test.each([
  ["secret", "Bearer secret"],
  ["", undefined],
])("the set-up says the token %j to Pulsar's admin API", async (pulsarToken, authorization) => {
  const server = createServer((_, response) => response.writeHead(401).end()).listen(0, "127.0.0.1");
  await once(server, "listening");
  const asked = once(server, "request");
  const settings = {
    pulsarAdminUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    pulsarNamespace: "public/keyline",
    pulsarToken,
    pulsarPartitions: 1,
    canaryPartitions: 1,
    pulsarSubscription: "s",
  };
  const setUp = setUpPulsar(settings, createLog("test", "fatal"));
  const [request] = await asked;
  expect(request.headers.authorization).toBe(authorization);
  await setUp.close();
  server.close();
});
