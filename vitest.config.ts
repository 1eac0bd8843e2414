import { availableParallelism } from "node:os";
import { join } from "node:path";
import { defineConfig, type TestProjectConfiguration } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";
import { writeBundles } from "./clients/typescript/build.js";
import { testAuthority } from "./test/support/test-authority.ts";

// No test sees a bundle of yesterday's code.
await writeBundles();

// workerd reads which authorities it trusts when its plugin is loaded; the tests' relays have certificates of this one.
process.env.NODE_EXTRA_CA_CERTS = testAuthority().authority_file;
const { cloudflareTest, readD1Migrations } = await import("@cloudflare/vitest-plugin");

const path = (name: string) => join(import.meta.dirname, name);

/** Tests in workerd, with real D1, R2 and Durable Objects, and an SMTP relay that runs beside them. */
function inWorkerd(name: string, include: string): TestProjectConfiguration {
  return {
    plugins: [
      cloudflareTest(async ({ inject }) => ({
        main: "./src/index.ts",
        wrangler: { configPath: "./wrangler.toml" },
        miniflare: {
          // Workerd's own stand-in of the service; EMAIL itself is bound only where a deployment wants it.
          email: { send_email: [{ name: "EMAIL_SERVICE" }] },
          bindings: {
            MASTER_KEY: "bXVsdGltYWlsIHRlc3RzIHVzZSB0aGlzIG9uZSBrZXk=",
            SETUP_TOKEN: "setup-token-for-tests",
            PUBLIC_URL: "https://mail.test",
            MAIL_DOMAIN: "agents.test",
            SMTP_HOST: "127.0.0.1",
            SMTP_PORT: String(inject<number>("smtpPort")),
            SMTP_SECURITY: "none",
            DOH_URL: inject<string>("dohUrl"),
            DNS_ZONES_URL: inject<string>("dnsZonesUrl"),
            DNS_ASKED_URL: inject<string>("dnsAskedUrl"),
            RDAP_URL: inject<string>("rdapUrl"),
            REGISTRATIONS_URL: inject<string>("registrationsUrl"),
            DNS_BLOCKLISTS: "dbl.agents.test",
            // A busy machine is no slow DNS; what is silent stays silent.
            SOURCE_TIMEOUT_MS: "3000",
            INBOUND_MX: "mx.agents.test",
            SPF_INCLUDE: "_spf.agents.test",
            SMTP_RECEIVED_URL: inject<string>("smtpReceivedUrl"),
            TEST_MIGRATIONS: await readD1Migrations(path("migrations")),
          },
        },
      })),
    ],
    // Packages whose entries workerd's module loader does not find by itself under vitest.
    resolve: {
      alias: {
        tldts: path("node_modules/tldts/dist/cjs/index.js"),
        "source-map-js": path("node_modules/source-map-js/source-map.js"),
      },
    },
    test: {
      name,
      include: [include],
      setupFiles: ["test/worker/apply-migrations.ts"],
      globalSetup: ["test/worker/global-setup.ts"],
      testTimeout: 20_000,
      hookTimeout: 30_000,
    },
  };
}

/** As long as a third of all others together: begun last, it would run alone while the other cores wait. */
const LONGEST = "/oversight-model.test.ts";

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => (moduleId.endsWith(LONGEST) ? 0 : 1);
    return (await super.sort(files)).sort((one, other) => rank(one) - rank(other));
  }
}

export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    // vitest leaves one core free, which on a machine with two leaves one.
    maxWorkers: availableParallelism(),
    projects: [
      { test: { name: "unit", include: ["test/unit/**/*.test.{ts,tsx}"], testTimeout: 30_000 } },
      inWorkerd("worker", "test/worker/**/*.test.{ts,tsx}"),
      inWorkerd("bench", "bench/**/*.bench.ts"),
      {
        test: {
          name: "browser",
          include: ["test/browser/**/*.test.{ts,tsx}"],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: "e2e",
          include: ["test/e2e/**/*.test.{ts,tsx}"],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
