import type { Hono } from "hono";
import { OPERATIONS } from "../operations/registry.ts";
import { type AppEnvironment, type DoorDependencies, serve } from "./serve.ts";

/** @returns a REST path in the router's notation. */
export function routerPath(path: string): string {
  return path.replace(/\{(\w+)\}/g, ":$1");
}

/** Serves every operation at its REST paths. */
export function addRest(app: Hono<AppEnvironment>, dependencies: DoorDependencies): void {
  for (const operation of OPERATIONS) {
    for (const { method, path } of operation.rest) {
      app.on(method, routerPath(path), (context) =>
        serve(context, operation, { ...context.req.param() }, dependencies),
      );
    }
  }
}
