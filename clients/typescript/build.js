// Bundles what runs outside the worker: the command line, the module for browsers, and the scripts of pages. Plain
// JavaScript, since it runs at `npm ci` on whatever Node is there. Says nothing unless it fails.
import { existsSync, mkdirSync, readFileSync, realpathSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { argv } from "node:process";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const HERE = dirname(fileURLToPath(import.meta.url));
const DIST = join(HERE, "dist");

/** What all of them share: one file each that needs nothing else, with the licences of what is in it at its end. */
const COMMON = {
  bundle: true,
  write: false,
  format: "esm",
  charset: "utf8",
  legalComments: "eof",
  metafile: true,
  logLevel: "error",
  define: { VERSION: JSON.stringify(JSON.parse(readFileSync(join(HERE, "package.json"), "utf8")).version) },
};

/** What a platform brings, browsers bring differently. */
const FOR_BROWSERS = {
  name: "for-browsers",
  setup({ onResolve }) {
    onResolve({ filter: /\/sha256\.ts$/ }, ({ path, resolveDir }) => ({
      path: join(resolveDir, path.replace("sha256.ts", "sha256-portable.ts")),
    }));
  },
};

/** By the name of the file in `dist/`. */
const BUNDLES = {
  "command.js": { entry: "src/command/main.ts", platform: "node", target: "node20", minify: false },
  "verify.js": { entry: "src/verify.ts", platform: "browser", target: "es2022", minify: true },
  "verify-page.js": { entry: "src/verify-page.ts", platform: "browser", target: "es2022", minify: true },
  "verify-audit-page.js": { entry: "src/verify-audit-page.ts", platform: "browser", target: "es2022", minify: true },
};

/** Scripts of pages, which the worker imports as text: by their names there. */
const PAGE_SCRIPTS = { "verify-page": "VERIFY_PAGE_SCRIPT", "verify-audit-page": "VERIFY_AUDIT_PAGE_SCRIPT" };

/** Bundles all of them, in memory. */
export async function bundles() {
  const built = Object.entries(BUNDLES).map(async ([name, { entry, ...options }]) => {
    const plugins = options.platform === "browser" ? [FOR_BROWSERS] : [];
    const result = await build({
      ...COMMON,
      ...options,
      plugins,
      entryPoints: [join(HERE, entry)],
      absWorkingDir: HERE,
    });
    const imports = Object.values(result.metafile.outputs).flatMap((output) => output.imports.map(({ path }) => path));
    return [name, { text: result.outputFiles[0].text, imports: [...new Set(imports)] }];
  });
  return new Map(await Promise.all(built));
}

/** Other processes read the file meanwhile: it is whole at each moment, and left alone where nothing changed. */
function put(name, text) {
  const path = join(DIST, name);
  if (existsSync(path) && readFileSync(path, "utf8") === text) return;
  const unfinished = `${path}.${process.pid}`;
  writeFileSync(unfinished, text);
  renameSync(unfinished, path);
}

/** Writes all of them into `dist/`, and the pages' scripts once more as modules that the worker imports as text. */
export async function writeBundles() {
  const built = await bundles();
  mkdirSync(DIST, { recursive: true });
  for (const [name, { text }] of built) put(name, text);
  for (const [name, constant] of Object.entries(PAGE_SCRIPTS)) {
    const script = JSON.stringify(built.get(`${name}.js`).text);
    put(`${name}-text.js`, `export const ${constant} = ${script};\n`);
    put(`${name}-text.d.ts`, `export declare const ${constant}: string;\n`);
  }
}

if (realpathSync(argv[1] ?? ".") === fileURLToPath(import.meta.url)) await writeBundles();
