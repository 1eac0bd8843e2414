import { parseArgs } from "node:util";
import { loadSenders } from "./bootstrap.ts";
import { playStory } from "./story.ts";
import { Transcript } from "./transcript.ts";
import { startWorld } from "./world.ts";
import { findWorld, type World, worldPaths } from "./world-files.ts";

/** `npm run demo`: plays the main job in the world that runs in `--dir`, or in one that it starts and stops itself. */

async function play(world: World, dir: string): Promise<boolean> {
  const transcript = new Transcript(console.log);
  const paths = worldPaths(dir);
  const [customer, evil] = await loadSenders(paths);
  if (!customer || !evil) throw new Error("The world has no senders.");
  console.log(`The main job, in the local world at ${world.base_url}`);
  try {
    await playStory(world, { customer, evil }, transcript, Date.now());
  } catch (error) {
    transcript.check("the story reaches its end", false, error instanceof Error ? error.message : String(error));
  }
  console.log(
    `\n${transcript.passed} checks passed, ${transcript.failed} failed. Every mail is kept in ${world.outbox_dir}`,
  );
  return transcript.failed === 0;
}

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { dir: { type: "string", default: ".local" } } });
  const running = await findWorld(values.dir);
  if (running) return (await play(running, values.dir)) ? 0 : 1;
  console.log(`No world runs in ${values.dir}, so one is started for the demo.`);
  const own = await startWorld({ dir: values.dir, say: (sentence) => console.error(sentence) });
  try {
    return (await play(own.world, values.dir)) ? 0 : 1;
  } finally {
    await own.stop();
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
