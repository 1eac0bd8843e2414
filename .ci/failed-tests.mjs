// Prints what failed in a vitest JSON report: first a line for each test, then how each one's message begins. What else
// a run writes (what a test makes break down, for one) can be many times as long and say nothing.
import { readFileSync } from "node:fs";
import { relative } from "node:path";

const MESSAGE_LINES = 12;
const TESTS_SHOWN = 25;

const report = JSON.parse(readFileSync(process.argv[2], "utf8"));

const failures = report.testResults.flatMap((file) => {
  const path = relative(process.cwd(), file.name);
  const tests = file.assertionResults
    .filter((test) => test.status === "failed")
    .map((test) => ({
      name: `${path} > ${test.fullName} (${Math.round(test.duration ?? 0)} ms)`,
      message: test.failureMessages.join("\n"),
    }));
  // A file that does not load, or whose set-up failed, has a message of its own and perhaps no failed test.
  return file.status === "failed" && tests.length === 0 ? [{ name: path, message: file.message }] : tests;
});

const shown = failures.slice(0, TESTS_SHOWN);
for (const { name } of shown) console.log(name);
if (failures.length > TESTS_SHOWN) console.log(`and ${failures.length - TESTS_SHOWN} more`);
for (const { name, message } of shown) {
  console.log(`\n${name}\n${message.trim().split("\n").slice(0, MESSAGE_LINES).join("\n")}`);
}
