/** The SQS server of the embedded mode as a process of its own. Prints its endpoint. */
import { buildApp } from "fauxqs";

console.log(await buildApp({ logger: false }).listen({ port: 0, host: "127.0.0.1" }));
