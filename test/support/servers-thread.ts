import { once } from "node:events";
import { parentPort } from "node:worker_threads";
import { startServers } from "./servers.ts";

/** Runs the tests' servers in a thread of their own: says where they are, and closes them when it is told anything. */

if (!parentPort) throw new Error("servers-thread.ts is a worker thread's program");
const { addresses, close } = await startServers();
parentPort.postMessage(addresses);
await once(parentPort, "message");
await close();
parentPort.close();
