/** Requests to the service's admin endpoint, most of them broken in one or more places. */
import fc from "fast-check";
import { arbitraryFaults, basic, brokenBy, type Faults, type FuzzRequest } from "./arbitrary-faults.ts";
import { arbitraryServiceCall, type ServiceCall } from "./arbitrary-service-calls.ts";

export const NAMED_TOKEN = "a-token-of-ada";
export const NAMELESS_TOKEN = "a-token-without-a-name";
export const READERS_TOKEN = "a-token-of-readers";

/** Whose token it is; an operator's name is undefined where the token has none. */
export type Caller = { role: "operator"; name: string | undefined } | { role: "reader" | "nobody" };

export type ServiceRequest = FuzzRequest & {
  caller: Caller;
  /** It must be taken. */
  sound: boolean;
};

type Credentials = { authorization: string | undefined; caller: Caller };
const nobody: Caller = { role: "nobody" };
const operators: Credentials[] = [
  { authorization: `Bearer ${NAMED_TOKEN}`, caller: { role: "operator", name: "ada" } },
  { authorization: `bearer   ${NAMELESS_TOKEN}`, caller: { role: "operator", name: undefined } },
];
const reader: Credentials = { authorization: `Bearer ${READERS_TOKEN}`, caller: { role: "reader" } };
const credentials: Credentials[] = [
  ...operators,
  reader,
  { authorization: undefined, caller: nobody },
  ...[
    ...[
      "",
      "Basic",
      "Bearer",
      "Bearer  ",
      "Digest x",
      "Bearer a-token-that-nobody-has",
      "Bearer __proto__",
      "null",
    ],
    ...[
      `Bearer ${"x".repeat(8_000)}`,
      `Bearer ${NAMED_TOKEN} x`,
      `Bearer ${NAMED_TOKEN.toUpperCase()}`,
      "\u0000",
    ],
    ...[
      `Bearer ada=${NAMED_TOKEN}`,
      `Bearer ${NAMED_TOKEN}x`,
      `Bearer ${NAMED_TOKEN.slice(1)}`,
      NAMED_TOKEN,
      "é",
    ],
    ...[basic(`${NAMED_TOKEN}:`), basic(`ada:${NAMED_TOKEN}`), `Bearer ${NAMED_TOKEN},${NAMELESS_TOKEN}`],
  ].map((authorization) => ({ authorization, caller: nobody })),
];

/** A third is whole, which need not be right: definitions, settings and queries are refused for what they say. */
const someFaults: fc.Arbitrary<Partial<Faults<Credentials>>> = fc.oneof(
  { arbitrary: arbitraryFaults(credentials), weight: 2 },
  { arbitrary: fc.constant({}), weight: 1 },
);

export const arbitraryServiceRequest: fc.Arbitrary<ServiceRequest> = fc
  .tuple(arbitraryServiceCall, someFaults, fc.nat({ max: 1 }))
  .map(([call, faults, who]) => {
    const { authorization, caller } = faults.credentials ?? ownCredentials(call, who);
    const sound = call.sound === true && Object.keys(faults).length === 0;
    return { ...brokenBy(call, authorization, faults), caller, sound };
  });

function ownCredentials({ as }: ServiceCall, who: number): Credentials {
  if (as === "operator") return operators[who]!;
  return as === "reader" ? reader : { authorization: undefined, caller: nobody };
}
