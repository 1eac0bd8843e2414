import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { approveRoutes } from "../../src/doors/approve.tsx";
import { NOW, type RecordedEnv } from "./decision-page-fixtures.ts";

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Pages that run on this computer only. */
export interface ServedPages {
  url: string;
  /** Method, and what the browser said about where a request came from. */
  requests: { method: string; origin: string | undefined; site: string | undefined }[];
  close(): Promise<void>;
}

/** Serves the real routes over `env` on 127.0.0.1, and `extra` documents by path beside them. */
export async function serveDecisionPages(env: RecordedEnv, extra: Record<string, string> = {}): Promise<ServedPages> {
  const app = approveRoutes(() => NOW);
  const requests: ServedPages["requests"] = [];
  let origin = "";
  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? "/";
    const page = extra[path];
    if (page !== undefined) {
      response.writeHead(200, { "content-type": "text/html; charset=utf-8" }).end(page);
      return;
    }
    const headers = new Headers(Object.entries(request.headers).map(([name, value]) => [name, String(value)]));
    requests.push({
      method: request.method ?? "",
      origin: request.headers.origin,
      site: headers.get("sec-fetch-site") ?? undefined,
    });
    const body = request.method === "POST" ? await bodyOf(request) : null;
    const answered = await app.fetch(
      new Request(origin + path, { method: request.method ?? "GET", headers, body }),
      env,
    );
    response.writeHead(answered.status, Object.fromEntries(answered.headers));
    response.end(Buffer.from(await answered.arrayBuffer()));
  }
  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => response.writeHead(500).end(String(error)));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  env.PUBLIC_URL = origin;
  return {
    url: origin,
    requests,
    close: () => new Promise((resolve, reject) => server.close((error) => (error ? reject(error) : resolve()))),
  };
}
