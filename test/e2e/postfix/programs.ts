import { accessSync, constants } from "node:fs";
import { createServer } from "node:net";
import { listenOnLoopback } from "../../../dev/listen.ts";

/** Debian's packages `postfix`, `opendkim` and `opendkim-tools`. */

export const POSTFIX = "/usr/sbin/postfix";
export const POSTFIX_MASTER = "/usr/lib/postfix/sbin/master";
export const SENDMAIL = "/usr/sbin/sendmail";
export const OPENDKIM = "/usr/sbin/opendkim";
/** Makes a key, with its TXT record as a zone file has it. */
export const OPENDKIM_GENKEY = "/usr/sbin/opendkim-genkey";

function isThere(program: string): boolean {
  try {
    accessSync(program, constants.X_OK);
    return true;
  } catch {
    // Not there, or not for us: either way it cannot be run.
    return false;
  }
}

/** Postfix's master gives each of its programs the rights it needs, which only root can. */
export const hasPostfix =
  process.getuid?.() === 0 && [POSTFIX, POSTFIX_MASTER, SENDMAIL, OPENDKIM, OPENDKIM_GENKEY].every(isThere);

/** @returns that many ports on which nothing listens now, for programs that cannot choose one themselves. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = await Promise.all(servers.map((server) => listenOnLoopback(server, 0, server)));
  await Promise.all(servers.map((server) => new Promise((closed) => server.close(closed))));
  return ports;
}
