import type { World } from "./world-files.ts";

/** An answer of the API: its status and its JSON. */
export interface ApiAnswer {
  status: number;
  body: unknown;
}

/** Calls the API of a world with one of its keys. */
export type Api = (method: string, path: string, body?: unknown) => Promise<ApiAnswer>;

/** @returns calls that are made with `key`. They throw only if the answer is not JSON. */
export function apiOf(world: World, key: string): Api {
  return async (method, path, body) => {
    const response = await fetch(`${world.base_url}${path}`, {
      method,
      headers: { authorization: `Bearer ${key}`, ...(body !== undefined && { "content-type": "application/json" }) },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    try {
      return { status: response.status, body: JSON.parse(text) };
    } catch {
      throw new Error(`${method} ${path} answered ${response.status} with something that is not JSON: ${text}`);
    }
  };
}

/** @returns the `code` of an error answer, or null. */
export function errorCode({ body }: ApiAnswer): string | null {
  return typeof body === "object" && body !== null && "code" in body ? String(body.code) : null;
}
