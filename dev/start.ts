import { parseArgs } from "node:util";
import { startWorld } from "./world.ts";
import type { World } from "./world-files.ts";

/** `npm start`: runs a local world until SIGINT or SIGTERM. */

const USAGE = `npm start [-- [--port <n>] [--dir <folder>] [--fresh]]
  --port   HTTP port of the API (8787, or a free one if that is taken)
  --dir    folder of this world (.local); several worlds run side by side in folders of their own
  --fresh  forget what this world had before`;

interface Arguments {
  dir: string;
  fresh: boolean;
  port?: number;
}

function readArguments(): Arguments {
  const { values } = parseArgs({
    options: {
      port: { type: "string" },
      dir: { type: "string", default: ".local" },
      fresh: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(USAGE);
    process.exit(0);
  }
  const { dir, fresh } = values;
  if (values.port === undefined) return { dir, fresh };
  const port = Number(values.port);
  if (!/^\d+$/.test(values.port) || port > 65_535) throw new Error("--port takes a number up to 65535.");
  return { dir, fresh, port };
}

function describe(world: World, file: string): string {
  const modes = world.mailboxes.map(
    ({ id, address, oversight_mode }) => `  ${oversight_mode.padEnd(11)} ${address}  ${id}`,
  );
  const gated = world.mailboxes.find((mailbox) => mailbox.oversight_mode === "gated_send");
  return `MultiMail runs at ${world.base_url}

mailboxes
${modes.join("\n")}
keys
  agent      ${world.keys.agent}
  oversight  ${world.keys.oversight}
  admin      ${world.keys.admin}
approver     ${world.approver_email}
mail out     ${world.outbox_dir}
mail in      smtp://127.0.0.1:${world.smtp.inbound_port}
DNS          ${world.doh_url}  from ${world.zones_file}
all of this  ${file}

Send something, as an agent:
curl ${world.base_url}/v1/mailboxes/${gated?.id}/send -H 'Authorization: Bearer ${world.keys.agent}' \\
  -H 'Content-Type: application/json' -d '{"to": "alice@customer.example", "subject": "Hello", "markdown": "**Hi** Alice"}'
It is held. The link to decide it is in the newest mail in ${world.outbox_dir}.

Ctrl-C stops it.`;
}

/** The signal that ends the world. Ctrl-C under npm arrives twice, so later ones change nothing. */
function stopSignal(): Promise<string> {
  return new Promise((stop) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => stop(signal));
  });
}

try {
  const stopped = stopSignal();
  const running = await startWorld({
    ...readArguments(),
    handlesSignals: true,
    say: (sentence) => console.error(sentence),
  });
  console.log(describe(running.world, running.paths.world));
  await stopped;
  await running.stop();
  process.exit(0);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
}
