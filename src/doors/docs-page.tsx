import { createHash } from "node:crypto";
import { raw } from "hono/html";
import type { FC } from "hono/jsx";
import { z } from "zod";
import { ERROR_STATUS } from "../errors.ts";
import type { Operation } from "../operations/operation.ts";
import { OPERATIONS } from "../operations/registry.ts";
import { inputFields } from "./admit.ts";

/** The reference for people, rendered from the same definitions as the doors. No script, nothing from elsewhere. */

const STYLE = `
:root{color-scheme:light dark;--ink:#1b1f24;--dim:#59636e;--line:#d5dae0;--paper:#fff;--chip:#eef1f4}
@media (prefers-color-scheme:dark){:root{--ink:#e6e9ec;--dim:#9aa4ae;--line:#333a42;--paper:#14171a;--chip:#232930}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main,header{max-width:60rem;margin:0 auto;padding:0 1.25rem}
header{padding-top:2.5rem}
h1{font-size:1.75rem;margin:0 0 .5rem}
h2{font-size:1.15rem;margin:0;font-family:ui-monospace,SFMono-Regular,Menlo,monospace}
nav{columns:14rem;margin:1.5rem 0;padding:0}
nav a{display:block;font-family:ui-monospace,SFMono-Regular,Menlo,monospace;font-size:.9rem;padding:.15rem 0}
a{color:inherit}
section{border-top:1px solid var(--line);padding:1.25rem 0}
code{font-family:ui-monospace,SFMono-Regular,Menlo,monospace;font-size:.9em;overflow-wrap:anywhere}
.chip{background:var(--chip);border-radius:.3rem;padding:.05rem .4rem;font-size:.85rem}
.dim{color:var(--dim)}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.92rem}
th,td{text-align:left;vertical-align:top;padding:.3rem .8rem .3rem 0;border-bottom:1px solid var(--line)}
`;
const POLICY = `default-src 'none'; style-src 'sha256-${createHash("sha256").update(STYLE).digest("base64")}'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'`;

/** A JSON Schema as a few words. */
function inWords(schema: Record<string, unknown>): string {
  const { type, enum: values, anyOf, items, const: constant } = schema;
  if (Array.isArray(values)) return values.map(String).join(" | ");
  if (constant !== undefined) return String(constant);
  if (Array.isArray(anyOf))
    return [...new Set(anyOf.map((each) => inWords(each as Record<string, unknown>)))].join(" or ");
  if (type === "array") return `list of ${inWords((items ?? {}) as Record<string, unknown>)}`;
  if (type === "object") return "map";
  return typeof type === "string" ? type : "any";
}

interface Field {
  name: string;
  type: string;
  required: boolean;
  description: string;
}

function fieldsOf(operation: Operation): Field[] {
  const schema = z.toJSONSchema(operation.input, { io: "input", unrepresentable: "any", reused: "inline" });
  const properties = (schema.properties ?? {}) as Record<string, Record<string, unknown>>;
  return Object.keys(inputFields(operation.input)).map((name) => ({
    name,
    type: inWords(properties[name] ?? {}),
    required: (schema.required ?? []).includes(name),
    description: typeof properties[name]?.description === "string" ? properties[name].description : "",
  }));
}

const Fields: FC<{ fields: Field[] }> = ({ fields }) => (
  <div class="scroll">
    <table>
      <thead>
        <tr>
          <th scope="col">Field</th>
          <th scope="col">Type</th>
          <th scope="col">What it is</th>
        </tr>
      </thead>
      <tbody>
        {fields.map(({ name, type, required, description }) => (
          <tr>
            <td>
              <code>{name}</code>
              {required && <span class="dim"> required</span>}
            </td>
            <td>
              <code>{type}</code>
            </td>
            <td>{description}</td>
          </tr>
        ))}
      </tbody>
    </table>
  </div>
);

const OperationSection: FC<{ operation: Operation }> = ({ operation }) => {
  const fields = fieldsOf(operation);
  return (
    <section id={operation.name}>
      <h2>{operation.name}</h2>
      <p>{operation.summary}</p>
      <p>
        {operation.rest.map(({ method, path }) => (
          <>
            <code class="chip">
              {method} {path}
            </code>{" "}
          </>
        ))}
        <code class="chip">POST /v1/{operation.name}</code>{" "}
        <span class="dim">
          {operation.scope === "public" ? "needs no key" : `scope ${operation.scope.join(" or ")}`}
        </span>
      </p>
      {fields.length > 0 && <Fields fields={fields} />}
    </section>
  );
};

const ErrorCodes: FC = () => (
  <section id="errors">
    <h2>Errors</h2>
    <p>
      Every refusal is <code>{"{error, code, hint?, issues?}"}</code>. Branch on the code; the sentence is for people.
    </p>
    <div class="scroll">
      <table>
        <thead>
          <tr>
            <th scope="col">Code</th>
            <th scope="col">Status</th>
          </tr>
        </thead>
        <tbody>
          {Object.entries(ERROR_STATUS).map(([code, status]) => (
            <tr>
              <td>
                <code>{code}</code>
              </td>
              <td>{status}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  </section>
);

const DocsPage: FC = () => (
  <html lang="en">
    <head>
      <meta charset="utf-8" />
      <meta name="viewport" content="width=device-width, initial-scale=1" />
      <title>MultiMail API</title>
      <style>{raw(STYLE)}</style>
    </head>
    <body>
      <header>
        <h1>MultiMail API</h1>
        <p>
          Send <code>Authorization: Bearer mm_live_…</code> with every call, but those that need no key. Each operation
          has REST paths and can be called by its name with one JSON object, path parameters among its fields.{" "}
          <a href="/v1/openapi.json">The OpenAPI document</a> says the same to programs.
        </p>
        <nav aria-label="Operations">
          {OPERATIONS.map(({ name }) => (
            <a href={`#${name}`}>{name}</a>
          ))}
          <a href="#errors">errors</a>
        </nav>
      </header>
      <main>
        {OPERATIONS.map((operation) => (
          <OperationSection operation={operation} />
        ))}
        <ErrorCodes />
      </main>
    </body>
  </html>
);

/** @returns the page. */
export function docsAnswer(): Response {
  return new Response(`<!doctype html>${(<DocsPage />).toString()}`, {
    headers: { "Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": POLICY },
  });
}
