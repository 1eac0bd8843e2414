// Runs a TypeScript program on a Node that can: `node dev/node24.js dev/start.ts …`. Plain JavaScript, so that an older Node
// gets as far as saying what is missing; npm puts the Node of node_modules first on the PATH.
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const REQUIRED_MAJOR = 24;

if (Number(process.versions.node.split(".")[0]) < REQUIRED_MAJOR) {
  console.error(
    `This is Node ${process.version}, and Node ${REQUIRED_MAJOR} is needed. Start it through npm after \`npm ci\`, which brings one along.`,
  );
  process.exit(1);
}
const [program] = process.argv.splice(2, 1);
await import(pathToFileURL(resolve(program)).href);
