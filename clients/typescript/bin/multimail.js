#!/usr/bin/env node
// Plain JavaScript, so that it runs on every Node from 20 on, and can say what is missing where nothing was built.
import { existsSync } from "node:fs";

const program = new URL("../dist/command.js", import.meta.url);

if (existsSync(program)) {
  const { main } = await import(program.href);
  process.exitCode = await main(process.argv.slice(2));
} else {
  console.error("multimail: it is not built yet. Run: npm run build");
  process.exitCode = 2;
}
